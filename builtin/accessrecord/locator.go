package accessrecord

import (
	"net/netip"
	"strings"
)

// Place is where an address is.
type Place struct{ Country, Region, City string }

// String returns country-region-city without the parts that are not known.
func (p Place) String() string {
	var parts []string
	for _, s := range []string{p.Country, p.Region, p.City} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "-")
}

// Locator finds the place of an address. It must be safe for concurrent use.
type Locator interface {
	Locate(addr netip.Addr) (place Place, found bool)
}
