package redisdial

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/tlsfiles"
)

func TestURLsAreReadAsCeleryReadsThem(t *testing.T) {
	t.Parallel()
	plain := Endpoint{address: "localhost:6379", connect: connectTimeout, answer: answerTimeout, name: "taskq"}
	with := func(change func(*Endpoint)) Endpoint {
		ep := plain
		change(&ep)
		return ep
	}
	for text, want := range map[string]Endpoint{
		"redis://":                    plain,
		"redis://localhost":           plain,
		"redis://localhost/":          plain,
		"redis://h:1/2":               with(func(e *Endpoint) { e.address, e.database = "h:1", 2 }),
		"redis://:p%40ss@localhost/0": with(func(e *Endpoint) { e.password = "p@ss" }),
		"redis://u:p@[::1]:7":         with(func(e *Endpoint) { e.address, e.username, e.password = "[::1]:7", "u", "p" }),
		"redis://localhost?db=3&socket_timeout=1.5&socket_connect_timeout=2&client_name=n&protocol=2&retry_on_timeout=true": with(func(e *Endpoint) {
			e.database, e.answer, e.connect, e.name, e.resp2 = 3, 1500*time.Millisecond, 2*time.Second, "n", true
		}),
		"redis://localhost/1?virtual_host=4":       with(func(e *Endpoint) { e.database = 4 }),
		"redis://localhost?username=u&password=pw": with(func(e *Endpoint) { e.username, e.password = "u", "pw" }),
		"rediss://h?ssl_cert_reqs=CERT_REQUIRED": with(func(e *Endpoint) {
			e.address, e.tls = "h:6379", &tlsfiles.Files{Parameters: tlsParameters(), Name: "h"}
		}),
		"rediss://h?ssl_check_hostname=True": with(func(e *Endpoint) {
			e.address, e.tls = "h:6379", &tlsfiles.Files{Parameters: tlsParameters(), Name: "h"}
		}),
	} {
		got, err := ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, *got, cmp.AllowUnexported(Endpoint{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestURLsThatMeanSomethingElseAreRefusedWithoutThePassword(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"redis://:se cret@h":                            "%-code",
		"redis://:secret@h:port":                        "%-code",
		"redis://:secret@h/name":                        "number of the database",
		"redis://:secret@h/-1":                          "number of the database",
		"redis://:secret@h?pasword=secret":              `"pasword"`,
		"redis://:secret@h?socket_timeout=secret":       "socket_timeout",
		"redis://:secret@h?ssl_cert_reqs=required":      "rediss://",
		"rediss://:secret@h?ssl_cert_reqs=none":         "always verified",
		"rediss://:secret@h?ssl_check_hostname=false":   "always verified",
		"rediss://:secret@h?ssl_certfile=x":             "go together",
		"rediss://:secret@h?ssl_ca_certs=/no/such/file": "ssl_ca_certs",
		"sentinel://:secret@h:26379/0":                  "sentinel",
		"redis+socket:///secret":                        "Unix sockets",
		"http://:secret@h":                              "redis://",
	} {
		_, err := ParseURL(text)
		if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want ErrInvalid about %s without the password", text, err, want)
		}
	}
}
