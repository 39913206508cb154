package testserver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// apiTimeout bounds one call of the management API. To remove a vhost with a million messages takes long.
const apiTimeout = 2 * time.Minute

// AMQP returns the URL of the run's RabbitMQ, in its default vhost, which all tests share: queues need names of their own.
func AMQP(t testing.TB) string {
	t.Helper()
	address := os.Getenv(AMQPVariable)
	if address == "" {
		unavailable(t, "RabbitMQ", `run "make test", or set `+AMQPVariable)
	}
	return address
}

// AMQPVhost returns the URL of a fresh vhost on the run's RabbitMQ, which is removed, with whatever is connected to it, after
// the test. It takes about 50 ms.
func AMQPVhost(t testing.TB) string {
	t.Helper()
	address, err := url.Parse(AMQP(t))
	if err != nil {
		t.Fatalf("%s is not a URL", AMQPVariable) // the error would quote the password
	}
	api, err := managementAPI(address)
	if err != nil {
		t.Fatal(err)
	}
	vhost := "test-" + strings.ToLower(rand.Text())
	if err := api.call(t.Context(), http.MethodPut, "/api/vhosts/"+vhost, ""); err != nil {
		t.Fatalf("create vhost: %v (%s is wanted: a RabbitMQ with the management plugin)", err, APIVariable)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context()) // which is cancelled before the cleanup
		if err := api.call(ctx, http.MethodDelete, "/api/vhosts/"+vhost, ""); err != nil {
			t.Errorf("remove vhost: %v", err)
		}
	})
	permissions := "/api/permissions/" + vhost + "/" + url.PathEscape(address.User.Username())
	if err := api.call(t.Context(), http.MethodPut, permissions, `{"configure":".*","write":".*","read":".*"}`); err != nil {
		t.Fatalf("permit vhost: %v", err)
	}
	address.Path, address.RawPath = "/"+vhost, ""
	return address.String()
}

// QueueDepths returns how many messages there are in each queue of the vhost of an AMQP URL, those included that are with consumers.
// RabbitMQ counts them every five seconds.
func QueueDepths(t testing.TB, amqp string) map[string]int {
	t.Helper()
	address, err := url.Parse(amqp)
	if err != nil {
		t.Fatal("the broker's URL is no URL") // the error would quote the password
	}
	vhost := url.PathEscape(strings.TrimPrefix(address.Path, "/"))
	text, err := Manage(t.Context(), amqp, http.MethodGet, "/api/queues/"+vhost+"?columns=name,messages", "")
	if err != nil {
		t.Fatal(err)
	}
	var queues []struct {
		Name     string
		Messages int
	}
	if err := json.Unmarshal(text, &queues); err != nil {
		t.Fatal(err)
	}
	depths := map[string]int{}
	for _, q := range queues {
		depths[q.Name] = q.Messages
	}
	return depths
}

// Manage makes one request of the management API of the RabbitMQ at an AMQP URL and returns the answer. Any that is not a success is an
// error.
func Manage(ctx context.Context, amqp, method, path, body string) ([]byte, error) {
	address, err := url.Parse(amqp)
	if err != nil {
		return nil, errors.New("testserver: the broker's URL is no URL") // the error would quote the password
	}
	api, err := managementAPI(address)
	if err != nil {
		return nil, err
	}
	return api.ask(ctx, method, path, body)
}

// management is RabbitMQ's HTTP API.
type management struct {
	base *url.URL // without the password
	user *url.Userinfo
}

// managementAPI is the API that the environment names, or the one beside the AMQP server.
func managementAPI(amqp *url.URL) (management, error) {
	named := os.Getenv(APIVariable)
	if named == "" {
		host := net.JoinHostPort(amqp.Hostname(), "15672")
		return management{base: &url.URL{Scheme: "http", Host: host}, user: amqp.User}, nil
	}
	base, err := url.Parse(named)
	if err != nil {
		return management{}, fmt.Errorf("testserver: %s is not a URL", APIVariable)
	}
	user := base.User
	base.User = nil
	return management{base: base, user: user}, nil
}

// call makes one request; any answer that is not a success is an error.
func (m management) call(ctx context.Context, method, path, body string) error {
	_, err := m.ask(ctx, method, path, body)
	return err
}

// ask makes one request and returns the answer.
func (m management) ask(ctx context.Context, method, path, body string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, m.base.String()+path, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("testserver: %w", err)
	}
	req.Close = true // an idle connection's goroutines would look like a leak of the test
	req.Header.Set("Content-Type", "application/json")
	password, _ := m.user.Password()
	req.SetBasicAuth(m.user.Username(), password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("testserver: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("testserver: management API: %s: %s", resp.Status, text)
	}
	return text, err
}
