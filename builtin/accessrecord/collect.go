package accessrecord

import (
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// A CollectOption says how a visit is read from a request.
type CollectOption func(*collector)

// collector reads visits from requests.
type collector struct {
	header  ProxyHeader
	proxies []netip.Prefix
	unix    bool
	locator Locator
}

// TrustProxies takes the visitor's address from the header when a request comes from one of the networks, which are those of the
// site's own proxies. Name the header that the proxies write: they pass the other one on as the visitor sent it.
func TrustProxies(header ProxyHeader, networks ...netip.Prefix) CollectOption {
	return func(c *collector) { c.header, c.proxies = header, networks }
}

// TrustUnixSocket believes the header of TrustProxies also of requests that come through a Unix socket, which have no address.
func TrustUnixSocket() CollectOption { return func(c *collector) { c.unix = true } }

// Locate fills Source from the visitor's address.
func Locate(l Locator) CollectOption { return func(c *collector) { c.locator = l } }

// FromRequest returns the visit that the request is. Values are cut to what the task accepts, and made valid UTF-8.
// The address is that of the connection unless TrustProxies says otherwise.
func FromRequest(r *http.Request, opts ...CollectOption) Visit {
	c := newCollector(opts)
	visit, addr := c.collect(r)
	c.locate(&visit, addr)
	return visit
}

func newCollector(opts []CollectOption) *collector {
	c := &collector{}
	for _, o := range opts {
		o(c)
	}
	return c
}

// collect reads the request; addr is the zero Addr when the visitor's address is not known.
func (c *collector) collect(r *http.Request) (v Visit, addr netip.Addr) {
	addr = c.visitor(r)
	v = Visit{
		Path:      r.URL.Path,
		QueryStr:  r.URL.RawQuery,
		Address:   unknown,
		UserAgent: unknown,
		Referer:   r.Referer(),
		ATime:     time.Now().Truncate(time.Microsecond), // as much as Python and PostgreSQL keep
	}
	if addr.IsValid() {
		v.Address = addr.String()
	}
	if agents := r.Header.Values("User-Agent"); len(agents) > 0 {
		v.UserAgent = agents[0]
	}
	v.tidy()
	return v, addr
}

// locate fills in the source. It may be slow.
func (c *collector) locate(v *Visit, addr netip.Addr) {
	if c.locator == nil || !addr.IsValid() {
		return
	}
	if place, ok := c.locator.Locate(addr); ok {
		v.Source = place.String()
		v.tidy()
	}
}

// tidy makes the texts acceptable: valid UTF-8 without NUL, cut to their limits.
func (v *Visit) tidy() {
	for _, f := range texts() {
		p := f.of(v)
		if !utf8.ValidString(*p) || strings.IndexByte(*p, 0) >= 0 {
			*p = strings.ReplaceAll(strings.ToValidUTF8(*p, "\uFFFD"), "\x00", "\uFFFD")
		}
		*p = cut(*p, f.limit)
	}
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
