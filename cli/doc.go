// Package cli is the command line: worker, send, result, tasks, queues, purge, config, version and completion.
//
// A program gets all of it for the tasks that it registers:
//
//	func main() {
//		cli.Main("myapp", func(app *taskq.App) error { return app.Register(Add) })
//	}
//
// gives `myapp worker -P threads -c 8`, `myapp send tasks.add --args '[2, 3]' --wait` and the rest. New returns the same as a
// *cobra.Command, to hang into a bigger tree; Extend adds settings, commands and flags for the arguments of a task.
//
// Data goes to stdout, logs and everything else to stderr. Each mistake is one sentence; ExitCode says which status goes with it.
package cli
