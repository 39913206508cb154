package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// find returns the file to read: the one that the flag or $TASKQ_CONFIG names, which must exist, else the first of ./taskq.toml,
// $XDG_CONFIG_HOME/taskq/taskq.toml and /etc/taskq/taskq.toml that exists, else "".
func (s Sources) find() (path string, origin Origin) {
	if s.File != "" {
		return s.File, Origin{From: FromFlag, Where: "--config"}
	}
	if path, _ := s.lookup("TASKQ_CONFIG"); path != "" {
		return path, Origin{From: FromEnv, Where: "TASKQ_CONFIG"}
	}
	for _, path := range s.places() {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, Origin{From: FromFile, Where: path}
		}
	}
	return "", Origin{}
}

func (s Sources) places() []string {
	places := []string{"taskq.toml"}
	dir, _ := s.lookup("XDG_CONFIG_HOME")
	if home, _ := s.lookup("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir != "" {
		places = append(places, filepath.Join(dir, "taskq", "taskq.toml"))
	}
	return append(places, "/etc/taskq/taskq.toml")
}

// file is a parsed configuration file: texts and lines by key name.
type file struct {
	path  string
	texts map[string]string
	lines map[string]int
}

func (t Table) readFile(path string) (*file, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the user names it
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, syntaxError(path, string(data), err)
	}
	f := &file{path: path, texts: map[string]string{}, lines: keyLines(data)}
	for name, value := range t.flatten(tree) {
		if err := t.add(f, name, value); err != nil {
			line := f.lines[name]
			if inside, ok := errors.AsType[*fieldError](err); ok {
				line = f.lines[inside.path]
			}
			return nil, fmt.Errorf("%s:%d: %w\n%s", path, line, err, excerpt(string(data), line))
		}
	}
	return f, nil
}

func (t Table) add(f *file, name string, value any) error {
	key, ok := t.Find(name)
	if !ok {
		return fmt.Errorf("unknown key %q%s", name, t.suggest(name))
	}
	text, err := key.fileText(value)
	if err == nil {
		_, err = key.parse(text)
	}
	if inside, ok := errors.AsType[*fieldError](err); ok {
		return inside
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	f.texts[name] = text
	return nil
}

func (t Table) suggest(name string) string {
	names := make([]string, len(t))
	for i, k := range t {
		names[i] = k.Name
	}
	table, _, _ := strings.Cut(name, ".")
	if s := Closest(table, t.structured()); s != "" {
		return fmt.Sprintf("; did you mean the tables of %q?", s)
	}
	if s := Closest(name, names); s != "" {
		return fmt.Sprintf("; did you mean %q?", s)
	}
	return "; `config` lists the keys"
}

// flatten joins the names of tables and keys with a dot. A setting that consists of tables stays whole.
func (t Table) flatten(tree map[string]any) map[string]any {
	flat := map[string]any{}
	for name, value := range tree {
		table, ok := value.(map[string]any)
		if key, _ := t.Find(name); !ok || len(key.Fields) > 0 {
			flat[name] = value
			continue
		}
		for inner, v := range table {
			flat[name+"."+inner] = v
		}
	}
	return flat
}

// fileText is a value of a file in the form that it has in a variable.
func (k Key) fileText(value any) (string, error) {
	switch k.Kind {
	case Tables, Records:
		return jsonText(value, k.Name)
	}
	return plainText(value)
}

func plainText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(v), nil
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			text, ok := item.(string)
			if !ok || strings.Contains(text, ",") {
				return "", errors.New("an array may hold only texts without commas")
			}
			texts[i] = text
		}
		return strings.Join(texts, ","), nil
	}
	return "", errors.New("the value is neither text, number, true, false nor an array of texts")
}

func syntaxError(path, data string, err error) error {
	decode, ok := errors.AsType[*toml.DecodeError](err)
	if !ok {
		return fmt.Errorf("%s: %w", path, err)
	}
	line, column := decode.Position()
	return fmt.Errorf("%s:%d:%d: %s\n%s", path, line, column, strings.TrimPrefix(decode.Error(), "toml: "), excerpt(data, line))
}

// excerpt is one line of a file without what follows the equals sign, which may be secret.
func excerpt(data string, line int) string {
	lines := strings.Split(data, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	text, _, assigned := strings.Cut(strings.TrimSpace(lines[line-1]), "=")
	if assigned {
		text += "= …"
	}
	return fmt.Sprintf("%6d | %s", line, text)
}
