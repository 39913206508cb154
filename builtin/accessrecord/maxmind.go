package accessrecord

import (
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"
)

// MaxMind is a Locator that reads a MaxMind database of cities or countries (GeoLite2-City.mmdb).
type MaxMind struct {
	reader   *maxminddb.Reader
	language string
}

var _ Locator = (*MaxMind)(nil)

// OpenMaxMind opens the file. Names are in the language, such as "zh-CN", where the file has them, else in English; "" is English.
func OpenMaxMind(path, language string) (*MaxMind, error) {
	reader, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("accessrecord: open MaxMind file %s: %w", path, err)
	}
	return &MaxMind{reader: reader, language: language}, nil
}

// Locate implements Locator.
func (m *MaxMind) Locate(addr netip.Addr) (Place, bool) {
	var entry struct { // a fresh one: decoding leaves alone what an entry does not have
		Country      named   `maxminddb:"country"`
		Subdivisions []named `maxminddb:"subdivisions"`
		City         named   `maxminddb:"city"`
	}
	found := m.reader.Lookup(addr)
	if !found.Found() || found.Decode(&entry) != nil {
		return Place{}, false
	}
	place := Place{Country: entry.Country.in(m.language), City: entry.City.in(m.language)}
	if len(entry.Subdivisions) > 0 {
		place.Region = entry.Subdivisions[0].in(m.language)
	}
	return place, place != Place{}
}

// Close closes the file.
func (m *MaxMind) Close() error {
	if err := m.reader.Close(); err != nil {
		return fmt.Errorf("accessrecord: close MaxMind file: %w", err)
	}
	return nil
}

// named is a part of an entry that has names by language.
type named struct {
	Names map[string]string `maxminddb:"names"`
}

func (n named) in(language string) string {
	if name, ok := n.Names[language]; ok {
		return name
	}
	return n.Names["en"]
}
