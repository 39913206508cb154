package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/internal/mask"
)

// From is where a value came from.
type From uint8

// The sources of values, the weakest first.
const (
	FromDefault From = iota
	FromFile
	FromEnv
	FromFlag
)

// Origin is where a value came from, in particular.
type Origin struct {
	From From
	// Where is the flag, the variable, or the file and line.
	Where string
}

// String returns the source in words: "flag --broker", "environment TASKQ_BROKER_URL", "file taskq.toml:3", "default".
func (o Origin) String() string {
	switch o.From {
	case FromFlag:
		return "flag " + o.Where
	case FromEnv:
		return "environment " + o.Where
	case FromFile:
		return "file " + o.Where
	case FromDefault:
	}
	return "default"
}

type item struct {
	text   string
	parsed any
	origin Origin
}

// Values are the settings that a program runs with.
type Values struct {
	table Table
	items map[string]item

	secrets []secret
}

// secret is a text that must not be shown, and what is shown for it.
type secret struct{ text, shown string }

// Keys returns the settings in the order of the table.
func (v *Values) Keys() []Key { return v.table }

// Origin returns where the value of the named setting came from.
func (v *Values) Origin(name string) Origin { return v.get(name).origin }

// Given reports whether the named setting came from somewhere else than its default.
func (v *Values) Given(name string) bool { return v.get(name).origin.From != FromDefault }

// Text returns the value of a Text or URL, with its password.
func (v *Values) Text(name string) string { return as[string](v, name) }

// Int returns the value of an Int.
func (v *Values) Int(name string) int { return as[int](v, name) }

// Seconds returns the value of a setting of that kind.
func (v *Values) Seconds(name string) time.Duration { return as[time.Duration](v, name) }

// On returns the value of a Switch.
func (v *Values) On(name string) bool { return as[bool](v, name) }

// List returns the value of a List.
func (v *Values) List(name string) []string { return as[[]string](v, name) }

// Entries returns the tables of a setting of the kind Tables, by name, or Records, in their order.
func (v *Values) Entries(name string) []Entry { return as[[]Entry](v, name) }

// Show returns the value as text for people, without passwords.
func (v *Values) Show(name string) string {
	key, _ := v.table.Find(name)
	text := v.get(name).text
	if len(key.Fields) > 0 {
		return showEntries(v.Entries(name))
	}
	if key.Kind == URL {
		return MaskURL(text)
	}
	if key.Secret && text != "" {
		return mask.Masked
	}
	return text
}

// Scrub replaces every secret of the configuration in text: a second line of defence for texts of other libraries.
func (v *Values) Scrub(text string) string {
	for _, s := range v.secrets {
		text = strings.ReplaceAll(text, s.text, s.shown)
	}
	return text
}

// findSecrets returns the secrets of the configuration, once for all the lines of a log: URLs, and in case that only a part of one is
// shown, what they have in front of the host.
func (v *Values) findSecrets() (secrets []secret) {
	for _, key := range v.table {
		text := v.get(key.Name).text
		if key.Kind != URL && !key.Secret || text == "" {
			continue
		}
		secrets = append(secrets, secret{text, v.Show(key.Name)})
		_, rest, _ := strings.Cut(text, "://")
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			user, password, _ := strings.Cut(rest[:at], ":")
			if password != "" {
				secrets = append(secrets, secret{user + ":" + password + "@", user + ":" + mask.Masked + "@"})
			}
		}
	}
	return secrets
}

func (v *Values) get(name string) item {
	it, ok := v.items[name]
	if !ok {
		panic(fmt.Sprintf("config: there is no setting %q", name))
	}
	return it
}

func as[T any](v *Values, name string) T {
	value, ok := v.get(name).parsed.(T)
	if !ok {
		panic(fmt.Sprintf("config: the setting %q is of another kind", name))
	}
	return value
}
