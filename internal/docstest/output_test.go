package docstest_test

import (
	"strings"
	"testing"
)

const gap = "…"

// fits reports whether the output is what the page says: line by line, without trailing spaces, with … for any text within a line,
// and a line of … for any lines. Runs of spaces count as one, because columns are as wide as what they hold.
func fits(want, got string) bool { return fitLines(lines(want), lines(got)) }

func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			all = append(all, line)
		}
	}
	return all
}

func fitLines(want, got []string) bool {
	switch {
	case len(want) == 0:
		return len(got) == 0
	case want[0] == gap:
		for skip := range len(got) + 1 {
			if fitLines(want[1:], got[skip:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && fitLine(want[0], got[0]) && fitLines(want[1:], got[1:])
}

func fitLine(want, got string) bool {
	head, rest, wild := strings.Cut(want, gap)
	if !wild {
		return want == got
	}
	if !strings.HasPrefix(got, head) {
		return false
	}
	for i := len(head); i <= len(got); i++ {
		if fitLine(rest, got[i:]) {
			return true
		}
	}
	return false
}

func TestOutputIsComparedWithGaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, got string
		fits      bool
	}{
		{"5\n", "5\n", true},
		{"5\n", "6\n", false},
		{"5\n", "5\n6\n", false},
		{"a … c\n", "a b c\n", true},
		{"a … c\n", "a b d\n", false},
		{"A  B\n", "A   B\n", true},
		{"…\n5\n", "log\nlog\n5\n", true},
		{"…\n5\n", "log\n", false},
		{"1\n…\n", "1\n", true},
		{"id=… queue=celery", "id=12 queue=celery", true},
	} {
		if fits(c.want, c.got) != c.fits {
			t.Errorf("fits(%q, %q) is not %t", c.want, c.got, c.fits)
		}
	}
}
