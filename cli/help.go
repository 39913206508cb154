package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const helpWidth = 110

// help writes a command's help. It stands in for cobra's templates, whose engine would double the size of the program.
func help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s\n", strings.TrimSpace(cmd.Long))
	fmt.Fprintf(w, "\nUsage:\n  %s\n", usageLine(cmd))
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(w, "\nAliases:\n  %s\n", strings.Join(append([]string{cmd.Name()}, cmd.Aliases...), ", "))
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	helpCommands(w, cmd)
	if cmd.HasParent() {
		helpFlags(w, "Flags", cmd.LocalFlags())
	} else {
		helpFlags(w, "Flags", cmd.LocalNonPersistentFlags())
		helpFlags(w, "Global flags", cmd.PersistentFlags())
	}
	for above := cmd.Parent(); above != nil; above = above.Parent() {
		title := "Flags of `" + above.CommandPath() + "`"
		if !above.HasParent() {
			title = "Global flags"
		}
		helpFlags(w, title, above.PersistentFlags())
	}
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\nSettings: a flag wins over the environment, that over the file, that over the default; `%s config --show-origin` tells.\n",
			cmd.Name())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n`%s COMMAND --help` tells more about a command.\n", cmd.CommandPath())
	}
}

func usageLine(cmd *cobra.Command) string {
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() && !strings.Contains(cmd.Use, " ") {
		return cmd.CommandPath() + " COMMAND [flags]"
	}
	if !strings.Contains(line, "[flags]") {
		line += " [flags]"
	}
	return line
}

func helpCommands(w io.Writer, cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	fmt.Fprint(w, "\nCommands:\n")
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			fmt.Fprintf(w, "  %-*s  %s\n", cmd.NamePadding(), c.Name(), c.Short)
		}
	}
}

// groupKey marks the flags of a group with its title.
const groupKey = "group"

func addGroup(flags *pflag.FlagSet, g FlagGroup) {
	group := pflag.NewFlagSet(g.Title, pflag.ContinueOnError)
	group.SortFlags = false
	g.Flags(group)
	group.VisitAll(func(f *pflag.Flag) { f.Annotations = map[string][]string{groupKey: {g.Title}} })
	flags.AddFlagSet(group)
}

// helpFlags writes the flags: the groups in their order, then under the title those that are in none.
func helpFlags(w io.Writer, title string, flags *pflag.FlagSet) {
	var titles []string
	sets := map[string]*pflag.FlagSet{}
	add := func(of string, f *pflag.Flag) {
		if sets[of] == nil {
			titles, sets[of] = append(titles, of), pflag.NewFlagSet(of, pflag.ContinueOnError)
			sets[of].SortFlags = flags.SortFlags
		}
		sets[of].AddFlag(f)
	}
	rest := pflag.NewFlagSet(title, pflag.ContinueOnError)
	flags.VisitAll(func(f *pflag.Flag) {
		if group := f.Annotations[groupKey]; len(group) > 0 {
			add(group[0], f)
			return
		}
		rest.AddFlag(f)
	})
	titles, sets[title] = append(titles, title), rest
	for _, t := range titles {
		if text := sets[t].FlagUsagesWrapped(helpWidth); text != "" {
			fmt.Fprintf(w, "\n%s:\n%s", t, text)
		}
	}
}
