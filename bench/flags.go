package main

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/scenario"
)

// settings are what the flags say.
type settings struct {
	mode      string
	wanted    *regexp.Regexp
	out, from string // files
	again     string // likewise
	pages     string // the directory of the repository
	list      bool
}

// parse reads the flags. What would only be wrong after half an hour of measuring is an error at once.
func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.StringVar(&s.mode, "mode", scenario.Full, "how much: "+strings.Join(scenario.Modes(), ", "))
	pattern := flags.String("run", "", "only the scenarios whose names match this `regexp`")
	flags.StringVar(&s.out, "out", "", "the `file` that the measures are written to, in JSON")
	flags.StringVar(&s.from, "from", "", "show the measures of this `file`, and measure nothing")
	flags.StringVar(&s.again, "again", "", "measure the scenarios of -run once more, and take the others from this `file`")
	flags.StringVar(&s.pages, "write", "", "the `directory` of the repository into whose pages a full run is written")
	flags.BoolVar(&s.list, "list", false, "list the scenarios and end")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%s: want nothing beside the flags", flags.Arg(0))
	}
	if s.wanted, err = regexp.Compile(*pattern); err != nil {
		return s, fmt.Errorf("-run: %w", err)
	}
	if !slices.ContainsFunc(scenario.All(), func(one scenario.Scenario) bool { return s.wanted.MatchString(one.Name) }) {
		return s, fmt.Errorf("-run %s: no scenario has such a name; -list lists them", *pattern)
	}
	if s.again != "" && s.from != "" {
		return s, errors.New("-again measures and -from does not: want one of them")
	}
	if !slices.Contains(scenario.Modes(), s.mode) {
		return s, fmt.Errorf("-mode %s: want one of %s", s.mode, strings.Join(scenario.Modes(), ", "))
	}
	if s.pages != "" && s.from == "" && s.mode != scenario.Full {
		return s, fmt.Errorf("-write: a %s run is not for the pages, a full one is", s.mode)
	}
	return s, nil
}
