package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/cli"
	"github.com/seed-399731e2/taskq/codec"
)

// visitForm is `send access_record`.
type visitForm struct {
	flags *pflag.FlagSet
	data  string
}

// field is a field of the visit with its flag.
type field struct{ flag, name, help string }

func fields() []field {
	return []field{
		{"path", "path", "`path` that was visited"},
		{"query-str", "query_str", "query `string`, without the question mark"},
		{"address", "address", "IP `address` of the visitor"},
		{"user-agent", "user_agent", "the visitor's `browser`"},
		{"referer", "referer", "`page` that the visitor came from"},
		{"atime", "atime", "`time` of the visit, in ISO 8601 (default: when the task runs)"},
		{"source", "source", "country-region-city of the `place`"},
	}
}

func (f *visitForm) form() cli.Form {
	return cli.Form{
		Task:  accessrecord.TaskName,
		Short: "Send the visit of a page, to be stored",
		Long: `Send the visit of a page, to be stored. Without any flag it is a plausible one; with flags it is what they say, and the
task's defaults for the rest.`,
		Example: `send access_record
send access_record --path /articles/42 --address 203.0.113.7 --wait
send access_record --data '{"path": "/", "query_str": "page=2", "address": "203.0.113.7"}'`,
		Flags:     f.add,
		Arguments: f.arguments,
	}
}

func (f *visitForm) add(flags *pflag.FlagSet) {
	f.flags = flags
	for _, field := range fields() {
		flags.String(field.flag, "", field.help)
	}
	flags.StringVar(&f.data, "data", "", "the whole visit as a `JSON` object; the other flags win over it")
}

// arguments is one positional dict, as the Django site sends it.
func (f *visitForm) arguments() (args []any, kwargs map[string]any, err error) {
	visit := map[string]any{}
	if f.data != "" {
		if err := json.Unmarshal([]byte(f.data), &visit); err != nil || visit == nil {
			return nil, nil, fmt.Errorf("--data: wanted is a JSON object like {\"path\": \"/\"}%s", reason(err))
		}
	}
	for _, field := range fields() {
		if flag := f.flags.Lookup(field.flag); flag.Changed {
			visit[field.name] = flag.Value.String()
		}
	}
	if atime, ok := visit["atime"].(string); ok {
		if _, err := codec.ParseTime(atime); err != nil {
			return nil, nil, fmt.Errorf("--atime: %q is not a time like 2026-11-22T11:13:58Z", atime)
		}
	}
	if len(visit) == 0 && f.data == "" {
		return []any{accessrecord.Sample()}, nil, nil
	}
	return []any{visit}, nil, nil
}

// reason is what the JSON decoder has to say.
func reason(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf(": %s at character %d", syntax, syntax.Offset)
	}
	return ""
}
