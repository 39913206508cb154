package control

import (
	"fmt"
	"strings"

	"github.com/seed-399731e2/taskq/codec"
)

// UnknownError is the error of a command that a worker does not have; its text is Celery's.
type UnknownError struct{ Method string }

func (e *UnknownError) Error() string { return "KeyError(" + quote(e.Method) + ")" }

// ArgumentError is the error of a command whose arguments will not do; its text is that of Python's TypeError.
type ArgumentError struct{ Problem string }

func (e *ArgumentError) Error() string { return "TypeError(" + quote(e.Problem) + ")" }

// Need returns an *ArgumentError when one of the arguments is missing.
func (c *Call) Need(names ...string) error {
	var missing []string
	for _, name := range names {
		if _, ok := c.Arguments[name]; !ok {
			missing = append(missing, "'"+name+"'")
		}
	}
	if len(missing) == 0 {
		return nil
	}
	plural, list := "s", strings.Join(missing[:len(missing)-1], ", ")
	switch n := len(missing); n {
	case 1:
		plural, list = "", missing[0]
	case 2:
		list += " and " + missing[1]
	default:
		list += ", and " + missing[n-1]
	}
	return &ArgumentError{fmt.Sprintf("%s() missing %d required positional argument%s: %s", c.Method, len(missing), plural, list)}
}

// Argument decodes an argument into what into points to; one that is missing or null leaves it as it is. It returns an *ArgumentError
// for a value of another type.
func (c *Call) Argument(name string, into any) error {
	raw := c.Arguments[name]
	if raw == nil || string(raw) == "null" {
		return nil
	}
	if err := (codec.JSON{}).Unmarshal(raw, into); err != nil {
		return &ArgumentError{fmt.Sprintf("%s(): %s: %s", c.Method, name, strings.TrimPrefix(err.Error(), "codec: "))}
	}
	return nil
}

// Texts decodes an argument that is one text or a list of them.
func (c *Call) Texts(name string) ([]string, error) {
	if raw := c.Arguments[name]; len(raw) > 0 && raw[0] == '[' {
		var list []string
		err := c.Argument(name, &list)
		return list, err
	}
	var one *string
	if err := c.Argument(name, &one); err != nil || one == nil {
		return nil, err
	}
	return []string{*one}, nil
}

// quote writes a text as Python's repr does.
func quote(s string) string {
	q := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = `"`
	}
	return q + strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, q, `\`+q).Replace(s) + q
}
