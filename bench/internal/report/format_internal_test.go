package report

import (
	"testing"
	"time"
)

func TestFiguresAreReadable(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"–": rate(0), "9.9": rate(9.87), "30": rate(30), "999": rate(999.4), "1.0k": rate(999.6), "25.7k": rate(25_712), "99.9k": rate(99_949),
		"100k": rate(99_960), "999k": rate(999_400), "1.0M": rate(999_600), "1.2M": rate(1_240_000),
		"999 ": count(999) + " ", "50k": count(50_000), "1.5k": count(1500), "1M": count(1_000_000),
		"4.6": amount(4.56), "10": amount(9.96), "1650": amount(1650),
		"0.90": ratio(0.9), "9.94": ratio(9.94), "10 ": ratio(9.96) + " ",
		"0.0012": ratio(0.0012), "0.10": ratio(0.0951), "1/7": part(1.0 / 7), "1/6.4": part(0.156), "0.20": part(0.2), "0.0": part(0) + ".0",
		"740 KB": size(740_000), "2.2 MB": size(2_240_000), "22 MB": size(22_400_000), "1.2 GB": size(1_240_000_000),
		"540 µs": wait(540 * time.Microsecond), "1.31 ms": wait(1_310 * time.Microsecond), "53 ms": wait(53 * time.Millisecond),
		"81.0 s": wait(81 * time.Second), "30 min": wait(30 * time.Minute),
		"0.25 s": figure(0.25, "s"), "31 MB": figure(31.4, "MB"), "0.00 %": figure(0, "%"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if figure(3, "") != none || wait(0) != none || size(0) != none || amount(0) != none {
		t.Error("what was not measured has a figure")
	}
}
