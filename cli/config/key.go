package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is how the text of a setting is read.
type Kind uint8

// The kinds of settings.
const (
	Text    Kind = iota
	URL          // text that may carry a password: shown masked
	Int          // a whole number that is not negative
	Seconds      // "90", "1.5" or Go's "1m30s"; not negative
	Switch       // true or false
	List         // texts with commas between them; an array in a file
	Tables       // named tables, [queues.mail] in a file; elsewhere JSON, {"mail": {…}}
	Records      // a list of tables, [[routes]] in a file; elsewhere JSON, [{…}]
	Map          // a table of any keys, whose values are neither dates nor null; only in the tables of the two above
)

// String returns what a value of the kind is called in help texts.
func (k Kind) String() string {
	switch k {
	case Text:
		return "text"
	case URL:
		return "url"
	case Int:
		return "n"
	case Seconds:
		return "seconds"
	case Switch:
		return "bool"
	case List:
		return "list"
	case Tables, Records, Map:
		return "json"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Key is one setting.
type Key struct {
	// Name in a file: "broker_url", or "worker.pool" for the key pool of the table worker. At most one dot.
	Name string
	Kind Kind
	// Flag and Short are the names on the command line, without dashes; "" means that there is none.
	Flag, Short string
	// Aliases are environment variables that count when the key's own one is not set, the first one first.
	Aliases []string
	// Secret settings can also be given as the path of a file that holds the value, in the variable Env() + "_FILE".
	Secret bool
	// Default in text form.
	Default string
	// Choices are the words that are allowed, in lower case; nil allows all. Upper case is read like lower case.
	Choices []string
	// Check refuses a text that the kind allows; nil allows all. Its error must not repeat the text of a secret.
	Check func(text string) error
	// Hint is what the value is called in help texts; "" means the kind's name.
	Hint string
	// Help is one line.
	Help string
	// Fields are the keys of each table of a setting of the kind Tables or Records. They have no flags, aliases, secrets and defaults.
	Fields Table
}

// Env is the environment variable of the key: TASKQ_WORKER_POOL for worker.pool.
func (k Key) Env() string { return "TASKQ_" + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_")) }

// Table is the settings of a program.
type Table []Key

// Find returns the key of this name.
func (t Table) Find(name string) (Key, bool) {
	i := slices.IndexFunc(t, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return t[i], true
}

// ErrTable is wrapped by the errors of Validate.
var ErrTable = errors.New("invalid table of settings")

// Validate refuses a table in which two settings have one name or flag, a default that does not read, or tables with fields that are
// no fields.
func (t Table) Validate() error {
	names, flags := map[string]bool{}, map[string]bool{}
	for _, k := range t {
		switch {
		case k.Name == "" || strings.Count(k.Name, ".") > 1:
			return fmt.Errorf("config: %w: %q is not a name", ErrTable, k.Name)
		case names[k.Name]:
			return fmt.Errorf("config: %w: two settings are named %s", ErrTable, k.Name)
		case k.Flag != "" && flags[k.Flag]:
			return fmt.Errorf("config: %w: two settings have the flag --%s", ErrTable, k.Flag)
		}
		names[k.Name], flags[k.Flag] = true, true
		if err := k.validateFields(); err != nil {
			return err
		}
		if _, err := k.parse(k.Default); err != nil {
			return fmt.Errorf("config: %w: default of %s: %w", ErrTable, k.Name, err)
		}
	}
	return nil
}

// validateFields refuses tables without fields, fields without tables, and fields with what only whole settings have.
func (k Key) validateFields() error {
	if structured := k.Kind == Tables || k.Kind == Records; structured != (len(k.Fields) > 0) {
		return fmt.Errorf("config: %w: %s: tables have fields, and nothing else has", ErrTable, k.Name)
	}
	for _, field := range k.Fields {
		if field.Flag != "" || len(field.Aliases) > 0 || field.Secret || field.Default != "" || strings.Contains(field.Name, ".") {
			return fmt.Errorf("config: %w: %s.%s is no field", ErrTable, k.Name, field.Name)
		}
	}
	return k.Fields.Validate()
}
