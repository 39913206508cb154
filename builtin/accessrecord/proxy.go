package accessrecord

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ProxyHeader is a header in which proxies hand on the visitor's address.
type ProxyHeader string

// The headers of proxies.
const (
	XForwardedFor ProxyHeader = "X-Forwarded-For"
	Forwarded     ProxyHeader = "Forwarded" // RFC 7239
)

// visitor returns the address of the visitor, the zero Addr when it is not known. From the connection on it walks back through
// the proxies that are trusted; the first address that is not one of them is the visitor's, whatever stands to the left of it.
func (c *collector) visitor(r *http.Request) netip.Addr {
	addr := hostAddr(r.RemoteAddr)
	if !c.trusted(addr) {
		return addr
	}
	for _, hop := range slices.Backward(c.hops(r.Header)) {
		if addr = hostAddr(hop); !c.trusted(addr) || !addr.IsValid() {
			break
		}
	}
	return addr
}

func (c *collector) trusted(addr netip.Addr) bool {
	if !addr.IsValid() {
		return c.unix
	}
	return slices.ContainsFunc(c.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// hops are the addresses in the header as they stand there, the one that the nearest proxy has seen last.
func (c *collector) hops(h http.Header) []string {
	switch c.header {
	case XForwardedFor:
		return forwardedFor(h.Values("X-Forwarded-For"))
	case Forwarded:
		return forwarded(h.Values("Forwarded"))
	}
	return nil
}

func forwardedFor(lines []string) []string {
	var hops []string
	for _, line := range lines {
		for hop := range strings.SplitSeq(line, ",") {
			if hop = strings.TrimSpace(hop); hop != "" {
				hops = append(hops, hop)
			}
		}
	}
	return hops
}

// hostAddr parses an address with or without a port and brackets, without its zone. It returns the zero Addr for anything else,
// such as "unknown" or "_hidden".
func hostAddr(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return netip.Addr{}
		}
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}
