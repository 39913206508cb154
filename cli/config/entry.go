package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Entry is one table of a setting of the kind Tables or Records.
type Entry struct {
	// Name of the table; "" in a list.
	Name string
	// Path of the table: "queues.mail", "routes[0]".
	Path string
	// Origin of the table.
	Origin Origin

	fields Table
	values map[string]any // those that are given, as the fields' kinds have them
	texts  map[string]string
}

// Given reports whether the table has the field.
func (e Entry) Given(field string) bool {
	_, ok := e.find(field)
	return ok
}

// Text returns a field of the kind Text, "" when it is not given.
func (e Entry) Text(field string) string { return fieldAs[string](e, field) }

// Int returns a field of that kind, 0 when it is not given.
func (e Entry) Int(field string) int { return fieldAs[int](e, field) }

// Seconds returns a field of that kind, 0 when it is not given.
func (e Entry) Seconds(field string) time.Duration { return fieldAs[time.Duration](e, field) }

// On returns a field of the kind Switch, false when it is not given.
func (e Entry) On(field string) bool { return fieldAs[bool](e, field) }

// List returns a field of that kind.
func (e Entry) List(field string) []string { return fieldAs[[]string](e, field) }

// Map returns a field of that kind: string, bool, int64, float64, []any and map[string]any of them by key.
func (e Entry) Map(field string) map[string]any { return fieldAs[map[string]any](e, field) }

// Entries returns the tables of a field of the kind Tables or Records.
func (e Entry) Entries(field string) []Entry { return fieldAs[[]Entry](e, field) }

// String is the table on one line, in the order of the fields: `exchange = "media", max_priority = 10`.
func (e Entry) String() string {
	var parts []string
	for _, field := range e.fields {
		if text, ok := e.texts[field.Name]; ok {
			parts = append(parts, field.Name+" = "+text)
		}
	}
	return strings.Join(parts, ", ")
}

func (e Entry) find(field string) (any, bool) {
	if _, ok := e.fields.Find(field); !ok {
		panic(fmt.Sprintf("config: %s has no field %q", e.Path, field))
	}
	value, ok := e.values[field]
	return value, ok
}

// locate fills in where a table is.
func locate(e *Entry, origin Origin, f *file) {
	e.Origin = origin
	if origin.From == FromFile {
		e.Origin.Where = fmt.Sprintf("%s:%d", f.path, f.lines[e.Path])
	}
	for _, value := range e.values {
		inside, _ := value.([]Entry)
		for i := range inside {
			locate(&inside[i], origin, f)
		}
	}
}

func fieldAs[T any](e Entry, field string) T {
	var zero T
	value, ok := e.find(field)
	if !ok {
		return zero
	}
	typed, ok := value.(T)
	if !ok {
		panic(fmt.Sprintf("config: the field %q of %s is of another kind", field, e.Path))
	}
	return typed
}

// fieldError is a mistake inside of a setting.
type fieldError struct {
	path string
	err  error
}

// Error says where and why.
func (e *fieldError) Error() string { return e.path + ": " + e.err.Error() }

// Unwrap returns the cause.
func (e *fieldError) Unwrap() error { return e.err }

// entries makes the tables of a setting from a value that was JSON or TOML; path is where it stands.
func (k Key) entries(value any, path string) ([]Entry, error) {
	switch tables := value.(type) {
	case map[string]any:
		if k.Kind != Tables {
			break
		}
		var all []Entry
		for _, name := range slices.Sorted(maps.Keys(tables)) {
			e, err := k.entry(tables[name], joinPath(path, name))
			if err != nil {
				return nil, err
			}
			e.Name = name
			all = append(all, e)
		}
		return all, nil
	case []any:
		if k.Kind != Records {
			break
		}
		var all []Entry
		for i, table := range tables {
			e, err := k.entry(table, fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		return all, nil
	}
	return nil, &fieldError{path, fmt.Errorf("wanted are %s", k.form())}
}

// form is how the setting is written, in a file and elsewhere.
func (k Key) form() string {
	name := k.Fields[0].Name
	if k.Kind == Tables {
		return fmt.Sprintf(`tables with names: [%s.NAME] in a file, {"NAME": {"%s": …}} elsewhere`, k.Name, name)
	}
	return fmt.Sprintf(`tables in a list: [[%s]] in a file, [{"%s": …}] elsewhere`, k.Name, name)
}

func (k Key) entry(value any, path string) (Entry, error) {
	e := Entry{Path: path, fields: k.Fields, values: map[string]any{}, texts: map[string]string{}}
	table, ok := value.(map[string]any)
	if !ok {
		return e, &fieldError{path, fmt.Errorf("wanted are %s", k.form())}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		where := joinPath(path, name)
		field, ok := k.Fields.Find(name)
		if !ok {
			return e, &fieldError{where, fmt.Errorf("unknown key%s", k.Fields.suggestField(name))}
		}
		value, err := field.field(table[name], where)
		if err != nil {
			return e, err
		}
		e.values[name], e.texts[name] = value, showValue(table[name])
	}
	return e, nil
}

// field reads one value as the kind says.
func (k Key) field(value any, path string) (any, error) {
	if k.Kind == Tables || k.Kind == Records {
		return k.entries(value, path)
	}
	if k.Kind == Map {
		if table, ok := value.(map[string]any); ok {
			return table, nil
		}
		return nil, &fieldError{path, fmt.Errorf("wanted is a table: %s = { key = value } in a file, {\"key\": value} elsewhere", k.Name)}
	}
	text, err := plainText(value)
	if err != nil {
		return nil, &fieldError{path, err}
	}
	parsed, err := k.parse(text)
	if err != nil {
		return nil, &fieldError{path, err}
	}
	return parsed, nil
}

func (t Table) suggestField(name string) string {
	names := make([]string, len(t))
	for i, k := range t {
		names[i] = k.Name
	}
	if s := Closest(name, names); s != "" {
		return fmt.Sprintf("; did you mean %q?", s)
	}
	return "; it may have " + strings.Join(names, ", ")
}

// structured are the names of the settings that consist of tables.
func (t Table) structured() []string {
	var names []string
	for _, k := range t {
		if len(k.Fields) > 0 {
			names = append(names, k.Name)
		}
	}
	return names
}

// showEntries is all tables on one line.
func showEntries(entries []Entry) string {
	parts := make([]string, len(entries))
	for i, e := range entries {
		parts[i] = strings.TrimSpace(e.Name + " { " + e.String() + " }")
	}
	return strings.Join(parts, ", ")
}
