package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq/cli/config"
)

// settingFlag holds the text of a setting's flag; it is read together with the other sources.
type settingFlag struct {
	key  config.Key
	text string
}

var _ pflag.Value = (*settingFlag)(nil)

// String implements pflag.Value. It is also the default in help texts.
func (f *settingFlag) String() string { return f.text }

// Set implements pflag.Value. A list can be given in several pieces.
func (f *settingFlag) Set(text string) error {
	if f.key.Kind == config.List && f.text != "" {
		text = f.text + "," + text
	}
	f.text = text
	return nil
}

// Type implements pflag.Value: what stands for the value in help texts.
func (f *settingFlag) Type() string {
	if f.key.Hint != "" {
		return f.key.Hint
	}
	return f.key.Kind.String()
}

// bind adds the flags of the named settings.
func (p *program) bind(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		key, ok := p.table.Find(name)
		if !ok || key.Flag == "" {
			panic(fmt.Sprintf("cli: there is no flag for a setting %q", name))
		}
		help := key.Help
		if key.Default != "" {
			help += " (default " + key.Default + ")"
		}
		flag := flags.VarPF(&settingFlag{key: key}, key.Flag, key.Short, help+" ["+key.Env()+"]")
		if key.Kind == config.Switch {
			flag.NoOptDefVal = "true"
		}
	}
}

// completeSettings offers the words of the settings that are chosen from some.
func completeSettings(cmd *cobra.Command, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if setting, ok := f.Value.(*settingFlag); ok && len(setting.key.Choices) > 0 {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(setting.key.Choices, cobra.ShellCompDirectiveNoFileComp)) // no error: once each
		}
	})
}

// given returns the texts of the settings whose flags were given.
func given(flags *pflag.FlagSet) map[string]string {
	texts := map[string]string{}
	flags.Visit(func(f *pflag.Flag) {
		if setting, ok := f.Value.(*settingFlag); ok {
			texts[setting.key.Name] = setting.text
		}
	})
	return texts
}

// flagError says in one sentence what is wrong with the flags.
func flagError(cmd *cobra.Command, err error) error {
	if !cmd.HasParent() && cmd.Flags().NArg() > 0 {
		return unknownCommand(cmd, cmd.Flags().Args())
	}
	see := "; see `" + cmd.CommandPath() + " --help`"
	text := err.Error() + see
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		text = unknownFlag(cmd, unknown) + see
	}
	if missing, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		text = fmt.Sprintf("--%s needs a value%s", missing.GetFlag().Name, see)
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		text = fmt.Sprintf("--%s: %q is not %s%s", invalid.GetFlag().Name, invalid.GetValue(), wanted(invalid.GetFlag().Value.Type()), see)
	}
	return Exit(Usage, errors.New(text))
}

// wanted is what a flag of one of pflag's types takes.
func wanted(kind string) string {
	switch kind {
	case "uint8":
		return "a number from 0 to 255"
	case "bool":
		return "true or false"
	case "int":
		return "a whole number"
	}
	return "a " + kind
}

func unknownFlag(cmd *cobra.Command, err *pflag.NotExistError) string {
	if err.GetSpecifiedShortnames() != "" {
		return fmt.Sprintf("unknown flag -%s", err.GetSpecifiedName())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	text := fmt.Sprintf("unknown flag --%s", err.GetSpecifiedName())
	if near := config.Closest(err.GetSpecifiedName(), names); near != "" {
		text += fmt.Sprintf("; did you mean --%s?", near)
	}
	return text
}
