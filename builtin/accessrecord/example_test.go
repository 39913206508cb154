package accessrecord_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
)

func ExampleFromRequest() {
	r := httptest.NewRequest(http.MethodGet, "/articles/42/?page=2", http.NoBody) // through a proxy of ours
	r.RemoteAddr = "10.0.0.1:41234"
	r.Header.Set("X-Forwarded-For", "198.51.100.1, 81.2.69.160") // the first one is what the visitor claims
	places, err := accessrecord.OpenMaxMind("testdata/GeoLite2-City-Test.mmdb", "en")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = places.Close() }()

	visit := accessrecord.FromRequest(r,
		accessrecord.TrustProxies(accessrecord.XForwardedFor, netip.MustParsePrefix("10.0.0.0/8")),
		accessrecord.Locate(places))
	fmt.Println(visit.Path, visit.QueryStr)
	fmt.Println(visit.Address, visit.Source)
	// Output:
	// /articles/42/ page=2
	// 81.2.69.160 United Kingdom-England-London
}
