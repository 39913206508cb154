package config

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// keyLines finds the line of each key and of each table, by their paths: "worker.pool", "queues.mail.max_priority", "routes[0].match".
// The data are known to be sound.
func keyLines(data []byte) map[string]int {
	w := lineWalk{lines: map[string]int{}, arrays: map[string]int{}}
	w.parser.Reset(data)
	var table string
	for w.parser.NextExpression() {
		switch e := w.parser.Expression(); e.Kind {
		case unstable.Table:
			table = w.walk("", e.Key())
		case unstable.ArrayTable:
			keys := e.Key()
			table = w.element(keys)
		case unstable.KeyValue:
			w.value(w.walk(table, e.Key()), e.Value())
		}
	}
	return w.lines
}

// lineWalk is one walk through a file.
type lineWalk struct {
	parser unstable.Parser
	lines  map[string]int
	arrays map[string]int // elements so far, of arrays of tables by path
}

// walk notes the lines of the tables on the way to a key, and of the key itself, and returns its path. In an array of tables, the
// way leads through the last one.
func (w *lineWalk) walk(path string, keys unstable.Iterator) string {
	for keys.Next() {
		node := keys.Node()
		path = joinPath(path, string(node.Data))
		line := w.parser.Shape(node.Raw).Start.Line
		w.note(path, line)
		if n := w.arrays[path]; n > 0 {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
	}
	return path
}

// element notes the line of one more table of an array.
func (w *lineWalk) element(keys unstable.Iterator) string {
	var path string
	var line int
	for keys.Next() {
		node := keys.Node()
		path = joinPath(path, string(node.Data))
		line = w.parser.Shape(node.Raw).Start.Line
		w.note(path, line)
		if n := w.arrays[path]; n > 0 && !keys.IsLast() {
			path = fmt.Sprintf("%s[%d]", path, n-1)
		}
	}
	w.arrays[path]++
	path = fmt.Sprintf("%s[%d]", path, w.arrays[path]-1)
	w.note(path, line)
	return path
}

// value notes the lines of what is inside of a value, and returns the first one, 0 when there is nothing. An element of an array
// begins where its first key does.
func (w *lineWalk) value(path string, value *unstable.Node) (first int) {
	inside := value.Children()
	for n := 0; inside.Next(); n++ {
		line := 0
		switch node := inside.Node(); value.Kind {
		case unstable.InlineTable:
			key := w.walk(path, node.Key())
			line = w.lines[key]
			w.value(key, node.Value())
		case unstable.Array:
			element := fmt.Sprintf("%s[%d]", path, n)
			line = cmp.Or(w.value(element, node), w.lines[path])
			w.note(element, line)
		}
		first = cmp.Or(first, line)
	}
	return first
}

func (w *lineWalk) note(path string, line int) {
	if _, known := w.lines[path]; !known {
		w.lines[path] = line
	}
}

// joinPath adds a key to a path, in quotes when it has more than letters, digits, - and _, as in TOML.
func joinPath(path, key string) string {
	bare := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	if key == "" || strings.TrimFunc(key, bare) != "" {
		key = fmt.Sprintf("%q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
