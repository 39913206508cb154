package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Sources are where values may come from.
type Sources struct {
	// Flags are the texts of the flags that were given, by key name.
	Flags map[string]string
	// LookupEnv returns a variable of the environment; nil means that there are none.
	LookupEnv func(string) (string, bool)
	// File is the path that the flag --config gives; "" searches in the usual places.
	File string
}

func (s Sources) lookup(name string) (string, bool) {
	if s.LookupEnv == nil {
		return "", false
	}
	return s.LookupEnv(name)
}

// Error is a setting that cannot be used.
type Error struct {
	Origin Origin
	Err    error
}

// Error says which one and why.
func (e *Error) Error() string {
	if e.Origin.From == FromFile { // Err names file, line and key
		return e.Err.Error()
	}
	return e.Origin.Where + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Load finds the value of every key: flag, else environment, else file, else default. All errors are *Error.
func (t Table) Load(s Sources) (*Values, error) {
	values := &Values{table: t, items: make(map[string]item, len(t))}
	var f *file
	if path, origin := s.find(); path != "" {
		var err error
		if f, err = t.readFile(path); err != nil {
			origin.From = FromFile
			return nil, &Error{Origin: origin, Err: err}
		}
	}
	for _, key := range t {
		it, err := s.value(key, f)
		if err != nil {
			return nil, err
		}
		values.items[key.Name] = it
	}
	values.secrets = values.findSecrets()
	return values, nil
}

func (s Sources) value(key Key, f *file) (item, error) {
	text, origin, err := s.text(key, f)
	if err != nil {
		return item{}, err
	}
	parsed, err := key.parse(text)
	if err != nil {
		return item{}, &Error{Origin: origin, Err: err}
	}
	if entries, ok := parsed.([]Entry); ok {
		for i := range entries {
			locate(&entries[i], origin, f)
		}
	}
	return item{text: text, parsed: parsed, origin: origin}, nil
}

func (s Sources) text(key Key, f *file) (string, Origin, error) {
	if text, ok := s.Flags[key.Name]; ok {
		return text, Origin{From: FromFlag, Where: "--" + key.Flag}, nil
	}
	if text, origin, err := s.own(key); err != nil || origin.From != FromDefault {
		return text, origin, err
	}
	if f != nil {
		if text, ok := f.texts[key.Name]; ok {
			return text, Origin{From: FromFile, Where: fmt.Sprintf("%s:%d", f.path, f.lines[key.Name])}, nil
		}
	}
	for _, name := range key.Aliases {
		if text, ok := s.lookup(name); ok && text != "" {
			return text, Origin{From: FromEnv, Where: name}, nil
		}
	}
	return key.Default, Origin{}, nil
}

// own reads the key's own variable or, for secrets, the file that the variable with _FILE names.
func (s Sources) own(key Key) (string, Origin, error) {
	name := key.Env()
	text, ok := s.lookup(name)
	ok = ok && text != ""
	path, _ := s.lookup(name + "_FILE")
	switch {
	case path == "" || !key.Secret:
		if !ok {
			return "", Origin{}, nil
		}
		return text, Origin{From: FromEnv, Where: name}, nil
	case ok:
		err := fmt.Errorf("%s is set, too; unset one of them", name)
		return "", Origin{}, &Error{Origin: Origin{From: FromEnv, Where: name + "_FILE"}, Err: err}
	}
	origin := Origin{From: FromEnv, Where: name + "_FILE"}
	data, err := os.ReadFile(path) //nolint:gosec // the user names it
	if err != nil {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return "", origin, &Error{Origin: origin, Err: fmt.Errorf("cannot read %s: %w", path, err)}
	}
	return strings.TrimSpace(string(data)), origin, nil
}
