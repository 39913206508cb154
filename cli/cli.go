package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli/config"
)

// Main runs the command line of a program with the arguments of the process, and exits with the status that fits. setup registers the
// program's tasks; it may be nil, and is called once by each command that needs the application.
func Main(name string, setup func(*taskq.App) error, opts ...Option) {
	root := New(name, setup, opts...)
	err := root.ExecuteContext(context.Background()) // the root of all contexts
	if err != nil && err.Error() != "" {
		fmt.Fprintf(os.Stderr, "%s: %s\n", name, err)
	}
	os.Exit(ExitCode(err))
}

// New returns the command line of a program as a command that can be part of a bigger tree. Its errors are one sentence each, free of
// secrets; ExitCode gives their exit status. It panics when the settings of an extension clash with others.
func New(name string, setup func(*taskq.App) error, opts ...Option) *cobra.Command {
	p := &program{name: name, setup: setup, lookupEnv: os.LookupEnv, table: settings()}
	for _, o := range opts {
		o(p)
	}
	if err := p.table.Validate(); err != nil {
		panic(err.Error())
	}
	return p.root()
}

// An Option changes the command line.
type Option func(*program)

// Environ makes the program read its environment variables with lookup instead of os.LookupEnv.
func Environ(lookup func(string) (string, bool)) Option {
	return func(p *program) { p.lookupEnv = lookup }
}

// Extend adds settings, tasks, commands and forms to the program.
func Extend(e Extension) Option {
	return func(p *program) {
		p.extensions = append(p.extensions, e)
		p.table = append(p.table, e.Settings...)
	}
}

// Extension is what a package of tasks adds to a program. All parts may be empty.
type Extension struct {
	// Settings are more keys for the configuration. Their flags are those of the commands that list them, and of `worker`.
	Settings []config.Key
	// Setup registers the tasks, as the configuration says.
	Setup func(s *Session, app *taskq.App) error
	// Commands of the program.
	Commands []Command
	// Forms for `send`.
	Forms []Form
}

// program is a command line in the making.
type program struct {
	name       string
	setup      func(*taskq.App) error
	lookupEnv  func(string) (string, bool)
	extensions []Extension
	table      config.Table
	globals    globals
}

// globals are the flags of every command that are no settings.
type globals struct {
	configFile, workdir, color, app string
	noColor, quiet                  bool
}

func (p *program) getenv(name string) string {
	value, _ := p.lookupEnv(name)
	return value
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           p.name,
		Short:         "Run and send tasks that speak Celery's protocol",
		Long:          "Run and send tasks that speak Celery's protocol, over RabbitMQ or, with nothing configured, over an embedded store.",
		Version:       version().String(),
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: p.example(`worker -P solo                  run tasks, one at a time
send tasks.add --args '[2, 3]'  send one
queues                          see what waits`),
	}
	root.CompletionOptions.DisableDefaultCmd = true // its mistakes have no exit status
	root.SetHelpFunc(help)
	root.SetUsageFunc(func(cmd *cobra.Command) error { help(cmd, nil); return nil })
	root.SetFlagErrorFunc(flagError)
	p.globalFlags(root)
	for _, c := range p.commands() {
		root.AddCommand(p.cobra(c))
	}
	return root
}

func (p *program) globalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	g := &p.globals
	p.bind(flags, "broker_url", "result_backend", "log.level", "log.format")
	completeSettings(root, flags)
	flags.StringVar(&g.configFile, "config", "", "`file` to read settings from instead of the usual places [TASKQ_CONFIG]")
	flags.StringVar(&g.workdir, "workdir", "", "`directory` to work in")
	flags.StringVar(&g.color, "color", "auto", "`when` to use colours: auto, always or never")
	flags.BoolVarP(&g.noColor, "no-color", "C", false, "no colours")
	flags.BoolVarP(&g.quiet, "quiet", "q", false, "no banner; of the other commands' logs only warnings")
	flags.StringVarP(&g.app, "app", "A", "", "Celery's application `name`, accepted and ignored: the program is the application")
}

// commands of every program, and those of the extensions.
func (p *program) commands() []Command {
	all := []Command{
		p.workerCommand(), p.sendCommand(), p.routeCommand(), resultCommand(), revokeCommand(), canvasCommand(), tasksCommand(),
		queuesCommand(), purgeCommand(), deadCommand(), delayedCommand(), outboxCommand(), configCommand(), versionCommand(p.name), completionCommand(p.name),
	}
	for _, e := range p.extensions {
		all = append(all, e.Commands...)
	}
	return all
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(append(names, c.Name()), c.Aliases...)
		}
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if near := config.Closest(args[0], names); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return Exit(Usage, errors.New(text+"; see `"+cmd.CommandPath()+" --help`"))
}
