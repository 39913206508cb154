package cli

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/cli/config"
)

// setting is a line of `config` in JSON.
type setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"` // passwords are masked
	Origin string `json:"origin,omitempty"`
	Env    string `json:"env"`
	Flag   string `json:"flag,omitempty"`
}

func configCommand() Command {
	var origins bool
	return Command{
		Use:   "config",
		Short: "Print the settings, and where they come from",
		Long: `Print the settings, with passwords masked, and with --show-origin where each comes from.

A flag wins over the environment, that over the file, that over the default. The file is the one of --config or TASKQ_CONFIG,
else the first of ./taskq.toml, $XDG_CONFIG_HOME/taskq/taskq.toml and /etc/taskq/taskq.toml that exists. In it, worker.pool is
the key pool of the table [worker]. A secret can also be given as a file that holds it: TASKQ_BROKER_URL_FILE=/run/secrets/broker.`,
		Example: `config
config --show-origin
config -o json`,
		Tabular: true,
		Flags: func(flags *pflag.FlagSet) {
			flags.BoolVar(&origins, "show-origin", false, "print where each value comes from")
		},
		Run: func(_ context.Context, s *Session, _ []string) error { return s.printConfig(origins) },
	}
}

func (s *Session) printConfig(origins bool) error {
	t := Table{Header: []string{"SETTING", "VALUE"}}
	if origins {
		t.Header = append(t.Header, "ORIGIN")
	}
	data := []setting{}
	for _, key := range s.Config.Keys() {
		for _, line := range s.lines(key) {
			row := []string{line.Name, orDash(line.Value)}
			if origins {
				row = append(row, line.Origin)
			} else {
				line.Origin = ""
			}
			t.Rows, data = append(t.Rows, row), append(data, line)
		}
	}
	t.Data = data
	return s.Print(t)
}

// lines are what is printed of a setting: one line, or one for each table that it consists of.
func (s *Session) lines(key config.Key) []setting {
	line := setting{
		Name: key.Name, Value: s.Config.Show(key.Name), Env: key.Env(), Flag: flagName(key), Origin: s.Config.Origin(key.Name).String(),
	}
	if len(key.Fields) == 0 || line.Value == "" {
		return []setting{line}
	}
	var lines []setting
	for _, e := range s.Config.Entries(key.Name) {
		line.Name, line.Value, line.Origin = e.Path, e.String(), e.Origin.String()
		lines = append(lines, line)
	}
	return lines
}

func flagName(key config.Key) string {
	if key.Flag == "" {
		return ""
	}
	return "--" + key.Flag
}

func orDash(text string) string {
	if strings.TrimSpace(text) == "" {
		return "-"
	}
	return text
}
