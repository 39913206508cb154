package accessrecord_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
)

func request(t testing.TB, target, remote string, header http.Header) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	r.RemoteAddr = remote
	r.Header = header
	return r
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

func TestAVisitIsWhatTheRequestSays(t *testing.T) {
	t.Parallel()
	before := time.Now().Truncate(time.Microsecond)
	got := accessrecord.FromRequest(request(t, "/a%20b/%E8%AE%BF/?page=2&q=%20x", "203.0.113.7:4711", http.Header{
		"User-Agent": {"Mozilla/5.0"}, "Referer": {"https://example.com/"},
	}))
	if got.ATime.Before(before) || got.ATime.After(time.Now()) {
		t.Errorf("atime = %s, want now", got.ATime)
	}
	want := accessrecord.Visit{
		Path: "/a b/访/", QueryStr: "page=2&q=%20x", Address: "203.0.113.7", UserAgent: "Mozilla/5.0",
		Referer: "https://example.com/", ATime: got.ATime,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAbsentHeadersHaveTheDefaults(t *testing.T) {
	t.Parallel()
	got := accessrecord.FromRequest(request(t, "/", "@", http.Header{}))
	want := accessrecord.Visit{Path: "/", Address: "unknown", UserAgent: "unknown", ATime: got.ATime}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnEmptyUserAgentIsNotUnknown(t *testing.T) {
	t.Parallel()
	if got := accessrecord.FromRequest(request(t, "/", "@", http.Header{"User-Agent": {""}})); got.UserAgent != "" {
		t.Errorf("user agent = %q, want what was sent", got.UserAgent)
	}
}

func TestHostileValuesAreMadeAcceptable(t *testing.T) {
	t.Parallel()
	got := accessrecord.FromRequest(request(t, "/%00%ff"+strings.Repeat("%E8%AE%BF", 3000)+"?"+strings.Repeat("q", 9000), "203.0.113.7:1", http.Header{
		"User-Agent": {strings.Repeat("\xff", 5000)}, "Referer": {strings.Repeat("录", 5000)},
	}))
	if want := "/\uFFFD\uFFFD" + strings.Repeat("访", accessrecord.MaxPath-3); got.Path != want {
		t.Errorf("path = %.20q… of %d characters, want %.20q…", got.Path, utf8.RuneCountInString(got.Path), want)
	}
	if got.QueryStr != strings.Repeat("q", accessrecord.MaxQueryStr) {
		t.Errorf("query string has %d characters, want %d", len(got.QueryStr), accessrecord.MaxQueryStr)
	}
	if got.UserAgent != "\uFFFD" { // strings.ToValidUTF8 makes one of a run
		t.Errorf("user agent = %q", got.UserAgent)
	}
	if got.Referer != strings.Repeat("录", accessrecord.MaxReferer) {
		t.Errorf("referer has %d characters, want %d", utf8.RuneCountInString(got.Referer), accessrecord.MaxReferer)
	}
}

func TestTheAddressIsThatOfTheFirstHopThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	own := prefixes("10.0.0.0/8", "fd00::/8")
	for _, tt := range []struct {
		name   string
		header accessrecord.ProxyHeader
		remote string
		lines  []string
		want   string
	}{
		{"no proxy", accessrecord.XForwardedFor, "203.0.113.7:99", nil, "203.0.113.7"},
		{"IPv6", accessrecord.XForwardedFor, "[2001:db8::7]:99", nil, "2001:db8::7"},
		{"zone", accessrecord.XForwardedFor, "[fe80::7%eth0]:99", nil, "fe80::7"},
		{"IPv4 in IPv6", accessrecord.XForwardedFor, "[::ffff:203.0.113.7]:99", nil, "203.0.113.7"},
		{"a visitor's own header", accessrecord.XForwardedFor, "203.0.113.7:99", []string{"1.2.3.4"}, "203.0.113.7"},
		{"one proxy", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"203.0.113.7"}, "203.0.113.7"},
		{"IPv6 proxy with a zone", accessrecord.XForwardedFor, "[fd00::1%eth0]:99", []string{"203.0.113.7"}, "203.0.113.7"},
		{"two proxies", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
		{"spoofed on the left", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"1.2.3.4, 203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
		{"spoofed with a trusted one", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"10.9.9.9, 203.0.113.7"}, "203.0.113.7"},
		{"a line for each proxy", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"1.2.3.4", "203.0.113.7", "10.0.0.2"}, "203.0.113.7"},
		{"only proxies", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"empty elements", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"203.0.113.7, ,"}, "203.0.113.7"},
		{"with port", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"203.0.113.7:4711"}, "203.0.113.7"},
		{"IPv6 with port", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"IPv6 bare", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 in brackets", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"no address", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"1.2.3.4, unknown"}, "unknown"},
		{"open bracket", accessrecord.XForwardedFor, "10.0.0.1:99", []string{"[2001:db8::7"}, "unknown"},
		{"no header", accessrecord.XForwardedFor, "10.0.0.1:99", nil, "10.0.0.1"},

		{"token", accessrecord.Forwarded, "10.0.0.1:99", []string{"for=203.0.113.7"}, "203.0.113.7"},
		{"all pairs", accessrecord.Forwarded, "10.0.0.1:99", []string{"proto=https; For=203.0.113.7 ;by=10.0.0.1;host=example.com"}, "203.0.113.7"},
		{"quoted IPv6 with port", accessrecord.Forwarded, "10.0.0.1:99", []string{`for="[2001:db8::7]:4711"`}, "2001:db8::7"},
		{"escaped", accessrecord.Forwarded, "10.0.0.1:99", []string{`for="\203.0.113.7"`}, "203.0.113.7"},
		{"walk", accessrecord.Forwarded, "10.0.0.1:99", []string{"for=1.2.3.4, for=203.0.113.7", "for=10.0.0.2"}, "203.0.113.7"},
		{"comma in quotes", accessrecord.Forwarded, "10.0.0.1:99", []string{`for=203.0.113.7;host="a,b;c"`}, "203.0.113.7"},
		{"hidden", accessrecord.Forwarded, "10.0.0.1:99", []string{"for=1.2.3.4, for=_hidden"}, "unknown"},
		{"no for", accessrecord.Forwarded, "10.0.0.1:99", []string{"for=1.2.3.4, proto=http"}, "unknown"},
		{"for twice", accessrecord.Forwarded, "10.0.0.1:99", []string{"for=1.2.3.4;for=5.6.7.8"}, "unknown"},
		{"no value", accessrecord.Forwarded, "10.0.0.1:99", []string{"for"}, "unknown"},
		{"a quote that a visitor left open", accessrecord.Forwarded, "10.0.0.1:99", []string{`for="1.2.3.4, for=203.0.113.7`}, "203.0.113.7"},
		{"quotes that a visitor sent around the comma", accessrecord.Forwarded, "10.0.0.1:99", []string{`for=1.2.3.4;by=", for="[2001:db8::7]"`}, "2001:db8::7"},
		{"the other header", accessrecord.Forwarded, "10.0.0.1:99", nil, "10.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"X-Forwarded-For": {"9.9.9.9"}, "Forwarded": {"for=9.9.9.9"}}
			delete(h, string(tt.header))
			if tt.lines != nil {
				h[string(tt.header)] = tt.lines
			}
			got := accessrecord.FromRequest(request(t, "/", tt.remote, h), accessrecord.TrustProxies(tt.header, own...))
			if got.Address != tt.want {
				t.Errorf("address = %s, want %s", got.Address, tt.want)
			}
		})
	}
}

func TestAUnixSocketIsTrustedOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	h := http.Header{"X-Forwarded-For": {"203.0.113.7"}}
	trust := accessrecord.TrustProxies(accessrecord.XForwardedFor)
	if got := accessrecord.FromRequest(request(t, "/", "@", h), trust); got.Address != "unknown" {
		t.Errorf("address = %s, want unknown", got.Address)
	}
	if got := accessrecord.FromRequest(request(t, "/", "@", h), trust, accessrecord.TrustUnixSocket()); got.Address != "203.0.113.7" {
		t.Errorf("address = %s, want 203.0.113.7", got.Address)
	}
}

func TestSourceIsCountryRegionCity(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ language, address, want string }{
		{"", "175.16.199.1", "China-Jilin Sheng-Changchun"},
		{"en", "81.2.69.160", "United Kingdom-England-London"},
		{"zh-CN", "175.16.199.1", "中国-吉林-长春"},
		{"xx", "81.2.69.160", "United Kingdom-England-London"},
		{"", "203.0.113.7", ""},
		{"", "127.0.0.1", ""},
	} {
		m, err := accessrecord.OpenMaxMind("testdata/GeoLite2-City-Test.mmdb", tt.language)
		if err != nil {
			t.Fatal(err)
		}
		got := accessrecord.FromRequest(request(t, "/", tt.address+":1", nil), accessrecord.Locate(m))
		if got.Source != tt.want {
			t.Errorf("source of %s in %q = %q, want %q", tt.address, tt.language, got.Source, tt.want)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAPlaceLeavesOutWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	for want, place := range map[string]accessrecord.Place{
		"":              {},
		"China":         {Country: "China"},
		"China-Beijing": {Country: "China", City: "Beijing"},
	} {
		if got := place.String(); got != want {
			t.Errorf("%#v = %q, want %q", place, got, want)
		}
	}
}

func TestAMissingMaxMindFileIsNamed(t *testing.T) {
	t.Parallel()
	if _, err := accessrecord.OpenMaxMind("testdata/none.mmdb", ""); err == nil || !strings.Contains(err.Error(), "testdata/none.mmdb") {
		t.Errorf("error = %v, want one that names the file", err)
	}
}

// What a trusted proxy appends decides, whatever the visitor has sent before it.
func FuzzForwardedCannotBeSpoofed(f *testing.F) {
	for _, seed := range []string{"", "for=1.2.3.4", `for="`, `for=1.2.3.4;by="`, `\`, `"\`, `for="a\"`, ",", `x="\\"`, `for="[::1]"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		for _, appended := range []string{"for=203.0.113.7", `for="203.0.113.7:99";proto=https`, `by=10.0.0.1;host="a\"b,c";for=203.0.113.7`} {
			h := http.Header{"Forwarded": {sent + ", " + appended}}
			got := accessrecord.FromRequest(request(t, "/", "10.0.0.1:9", h), accessrecord.TrustProxies(accessrecord.Forwarded, prefixes("10.0.0.0/8")...))
			if got.Address != "203.0.113.7" {
				t.Fatalf("address = %s after %q", got.Address, sent)
			}
		}
	})
}
