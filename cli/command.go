package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command is a command of the program.
type Command struct {
	// Use is the name and what follows it: "result ID".
	Use     string
	Aliases []string
	// Short is one line, Long the whole story (default: Short), Example lines of what follows the program's name.
	Short, Long, Example string
	// MinArgs and MaxArgs bound the number of arguments; a negative MaxArgs means any number.
	MinArgs, MaxArgs int
	// Settings are the names of the settings that have flags here.
	Settings []string
	// Flags adds flags that are no settings; may be nil.
	Flags func(flags *pflag.FlagSet)
	// Groups are more such flags, each under a heading of its own.
	Groups []FlagGroup
	// Tabular commands print a table or, with -o json, JSON; see Session.Print.
	Tabular bool
	// Run does the work; nil for a command that only holds others.
	Run func(ctx context.Context, s *Session, args []string) error
	// signals is set for a command that handles the signals itself; else an interrupt ends its context.
	signals bool
	// offline is set for a command that connects to nothing.
	offline bool
	// files is set for a command whose arguments are names of files.
	files bool
	// inherit makes Flags, Groups and Settings those of the sub-commands, too.
	inherit bool
	// complete offers completions for the arguments.
	complete func(cmd *cobra.Command, args []string) []string
	// Commands below this one.
	Commands []Command
}

// FlagGroup are flags that help shows together.
type FlagGroup struct {
	Title string
	Flags func(flags *pflag.FlagSet)
}

func (p *program) cobra(c Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: c.Use, Aliases: c.Aliases, Short: c.Short, Long: c.Long, Example: p.example(c.Example),
		Args: c.checkArgs, SilenceErrors: true, SilenceUsage: true, DisableFlagsInUseLine: true,
	}
	if cmd.Long == "" {
		cmd.Long = c.Short + "."
	}
	flags := cmd.Flags()
	if c.inherit {
		flags = cmd.PersistentFlags()
	}
	p.bind(flags, c.Settings...)
	if c.Flags != nil {
		c.Flags(flags)
	}
	if len(c.Groups) > 0 {
		cmd.Flags().SortFlags, flags.SortFlags = false, false
	}
	for _, g := range c.Groups {
		addGroup(flags, g)
	}
	if c.Tabular {
		addFormat(cmd.Flags())
	}
	completeSettings(cmd, flags)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	if c.files {
		cmd.ValidArgsFunction = nil // the shell's own
	}
	if c.complete != nil {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return c.complete(cmd, args), cobra.ShellCompDirectiveNoFileComp
		}
	}
	if c.Run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return p.run(c, cmd, args) }
	} else {
		cmd.Args = unknownCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, sub := range c.Commands {
		cmd.AddCommand(p.cobra(sub))
	}
	return cmd
}

// example puts the program's name in front of each line.
func (p *program) example(lines string) string {
	if lines == "" {
		return ""
	}
	return "  " + p.name + " " + strings.ReplaceAll(lines, "\n", "\n  "+p.name+" ")
}

func (c Command) checkArgs(cmd *cobra.Command, args []string) error {
	_, names, _ := strings.Cut(c.Use, " ")
	see := "; see `" + cmd.CommandPath() + " --help`"
	switch {
	case len(args) < c.MinArgs:
		return Exit(Usage, fmt.Errorf("`%s` needs %s%s", cmd.CommandPath(), names, see))
	case c.MaxArgs >= 0 && len(args) > c.MaxArgs:
		return Exit(Usage, fmt.Errorf("unexpected argument %q for `%s`%s", args[c.MaxArgs], cmd.CommandPath(), see))
	}
	return nil
}

// run makes the session, runs the command in it and turns what goes wrong into one sentence.
func (p *program) run(c Command, cmd *cobra.Command, args []string) error {
	s, err := p.session(c, cmd)
	if err != nil {
		return explain(nil, err)
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	if !c.signals {
		ctx = s.interruptible(ctx)
		defer s.stopSignals()
	}
	s.ignoredFlags(cmd)
	defer s.close(cmd.Context())
	err = c.Run(ctx, s, args)
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), errInterrupted) {
		err = Exit(Interrupted, errInterrupted)
	}
	return explain(s, err)
}
