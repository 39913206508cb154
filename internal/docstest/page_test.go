package docstest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the repository, seen from this package.
const root = "../.."

// block is a fenced code block of a page.
type block struct {
	line    int      // of its opening fence
	lang    string   // first word behind the fence
	options []string // the others
	text    string
}

func (b block) has(option string) bool { return slices.Contains(b.options, option) }

// value returns what follows name= among the options.
func (b block) value(name string) string {
	for _, o := range b.options {
		if v, ok := strings.CutPrefix(o, name+"="); ok {
			return v
		}
	}
	return ""
}

// page is a document.
type page struct {
	path   string // below the repository's root
	text   string
	prose  []string // lines outside of code blocks
	blocks []block
}

// pages returns the documents whose words are tested.
func pages(t *testing.T) []page {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "examples/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	all := make([]page, len(paths))
	for i, path := range paths {
		all[i] = readPage(t, strings.TrimPrefix(filepath.ToSlash(path), root+"/"))
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

func readPage(t *testing.T, path string) page {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	p := page{path: path, text: string(data)}
	open := -1
	for i, line := range strings.Split(p.text, "\n") {
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence && open < 0:
			words := strings.Fields(strings.TrimPrefix(line, "```"))
			if len(words) == 0 {
				t.Fatalf("%s:%d: the code block does not say its language", path, i+1)
			}
			p.blocks = append(p.blocks, block{line: i + 1, lang: words[0], options: words[1:]})
			open = len(p.blocks) - 1
		case fence:
			open = -1
		case open >= 0:
			p.blocks[open].text += line + "\n"
		default:
			p.prose = append(p.prose, line)
		}
	}
	if open >= 0 {
		t.Fatalf("%s:%d: the code block does not end", path, p.blocks[open].line)
	}
	return p
}

// at names a block for failures.
func (p page) at(b block) string { return fmt.Sprintf("%s:%d", p.path, b.line) }
