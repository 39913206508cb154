package docstest_test

import (
	"strings"
	"testing"
)

func TestTheChineseReadmeHasTheSameContent(t *testing.T) {
	t.Parallel()
	english, chinese := readPage(t, "README.md"), readPage(t, "README.zh-CN.md")
	if len(english.blocks) != len(chinese.blocks) {
		t.Fatalf("%d code blocks in English, %d in Chinese", len(english.blocks), len(chinese.blocks))
	}
	for i, b := range english.blocks {
		if c := chinese.blocks[i]; b.text != c.text || b.lang != c.lang {
			t.Errorf("%s and %s differ:\n%s\n%s", english.at(b), chinese.at(c), b.text, c.text)
		}
	}
	for _, start := range []string{"#", "|", "-"} {
		if e, c := count(english, start), count(chinese, start); e != c {
			t.Errorf("%d lines start with %s in English, %d in Chinese", e, start, c)
		}
	}
}

func TestTheReadmesAreShort(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"README.md", "README.zh-CN.md"} {
		if n := strings.Count(readPage(t, path).text, "\n"); n > 200 {
			t.Errorf("%s has %d lines, want 200 at the most", path, n)
		}
	}
}

func count(p page, start string) int {
	n := 0
	for _, line := range p.prose {
		if strings.HasPrefix(line, start) {
			n++
		}
	}
	return n
}
