package amqp_test

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// tenant is a user with a vhost of its own on a shared server, so that what happens to them disturbs nobody else.
type tenant struct {
	t              testing.TB
	server         *testserver.RabbitMQ
	name, password string // the name is the vhost's too
	proxy          *testserver.Proxy
	log            *journal
}

func newTenant(t testing.TB, server *testserver.RabbitMQ) *tenant {
	t.Helper()
	n := &tenant{t: t, server: server, name: "tenant-" + rand.Text(), password: rand.Text(), log: newJournal(t)}
	n.proxy = testserver.StartProxy(t, server.URL)
	n.eval(`rabbit_auth_backend_internal:add_user(%[1]q, <<%[2]q>>, <<"test">>)`, n.password)
	n.addVhost()
	return n
}

// eval runs an Erlang expression, in which %[1]q is the name and the rest are its arguments.
func (n *tenant) eval(expression string, args ...any) string {
	n.t.Helper()
	expression = strings.ReplaceAll(expression, "%[1]q", "<<%[1]q>>")
	return n.server.Eval(fmt.Sprintf(expression, append([]any{n.name}, args...)...))
}

func (n *tenant) addVhost() {
	n.t.Helper()
	n.eval(`rabbit_vhost:add(%[1]q, <<"test">>)`)
	n.permit(".*")
}

// permit allows the user what the pattern matches, in all three ways.
func (n *tenant) permit(pattern string) {
	n.t.Helper()
	n.eval(`rabbit_auth_backend_internal:set_permissions(%[1]q, %[1]q, <<%[2]q>>, <<%[2]q>>, <<%[2]q>>, <<"test">>)`, pattern)
}

// config is for a broker of the tenant's, behind its proxy.
func (n *tenant) config() amqp.Config {
	n.t.Helper()
	cfg := config(n.t, n.url())
	cfg.Logger, cfg.ConnectionName = n.log.logger(), n.name
	return cfg
}

// url is the tenant's, through its proxy.
func (n *tenant) url() string { return n.at(n.proxy.URL) }

// directly is the tenant's URL past the proxy.
func (n *tenant) directly() string { return n.at(n.server.URL) }

func (n *tenant) at(server string) string {
	n.t.Helper()
	u := parse(n.t, server)
	u.User, u.Path = url.UserPassword(n.name, n.password), "/"+n.name
	return u.String()
}

// count evaluates an Erlang expression whose value is a number.
func (n *tenant) count(expression string, args ...any) int {
	n.t.Helper()
	text := n.eval(expression, args...)
	value, err := strconv.Atoi(text)
	if err != nil {
		n.t.Fatalf("%s is %s, want a number", expression, text)
	}
	return value
}

// The server's own counts. What ends while it is asked is not counted.
func (n *tenant) connections() int {
	return n.count(`length([C || C <- rabbit_networking:connections(), (catch rabbit_reader:info(C, [vhost])) =:= [{vhost, %[1]q}]])`)
}

func (n *tenant) channels() int {
	return n.count(`length([C || C <- rabbit_channel:list(), (catch rabbit_channel:info(C, [vhost])) =:= [{vhost, %[1]q}]])`)
}

func (n *tenant) consumers() int { return n.count(`length(rabbit_amqqueue:consumers_all(%[1]q))`) }

func (n *tenant) ready() int { return n.sum("messages_ready") }

func (n *tenant) unsettled() int { return n.sum("messages_unacknowledged") }

// sum adds an item up over all queues.
func (n *tenant) sum(item string) int {
	return n.count(`lists:sum([N || [{%[2]s, N}] <- rabbit_amqqueue:info_all(%[1]q, [%[2]s])])`, item)
}
