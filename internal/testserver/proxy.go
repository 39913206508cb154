package testserver

import (
	"testing"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// Proxy stands between a client and a server and breaks what is between them: Cut, Stall, Refuse, and more that it has from
// instance.Proxy.
type Proxy struct {
	*instance.Proxy

	t testing.TB
}

// StartProxy starts a proxy on 127.0.0.1 for the server at a URL with host and port. It ends with the test.
func StartProxy(t testing.TB, server string) *Proxy {
	t.Helper()
	p, err := instance.StartProxy(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &Proxy{p, t}
}

// Resume ends every fault. The bytes that were held back flow.
func (p *Proxy) Resume() {
	p.t.Helper()
	if err := p.Proxy.Resume(); err != nil {
		p.t.Fatal(err)
	}
}
