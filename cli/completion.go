package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func completionCommand(name string) Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return Command{
		Use:   "completion SHELL",
		Short: "Print the script that completes commands and flags in a shell",
		Long:  "Print the script that completes commands, flags and task names in bash, zsh, fish or powershell.",
		Example: fmt.Sprintf(`completion bash > /etc/bash_completion.d/%[1]s
completion zsh > "${fpath[1]}/_%[1]s"
completion fish > ~/.config/fish/completions/%[1]s.fish`, name),
		MinArgs: 1, MaxArgs: 1,
		complete: func(cmd *cobra.Command, _ []string) []string { return shells },
		Run: func(_ context.Context, s *Session, args []string) error {
			if !slices.Contains(shells, args[0]) {
				return Exit(Usage, fmt.Errorf("unknown shell %q: the shells are %s", args[0], strings.Join(shells, ", ")))
			}
			return completionScript(s.command.Root(), s, args[0])
		},
	}
}

func completionScript(root *cobra.Command, s *Session, shell string) error {
	switch shell {
	case "zsh":
		return root.GenZshCompletion(s.Out)
	case "fish":
		return root.GenFishCompletion(s.Out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(s.Out)
	}
	return root.GenBashCompletionV2(s.Out, true)
}
