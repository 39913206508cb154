package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// modulePath is this module's; a user's program has it among its dependencies.
const modulePath = "github.com/seed-399731e2/taskq"

// build says what the program was built from.
type build struct {
	Version  string `json:"version"` // of the program
	Taskq    string `json:"taskq"`   // of this module
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"` // of the commit, RFC 3339
	Modified bool   `json:"modified"`       // built from a changed checkout
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// version reads the build information that the linker left.
func version() build {
	b := build{Version: "(devel)", Taskq: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	if info.Main.Path == modulePath {
		b.Taskq = b.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath {
			b.Taskq = dep.Version
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b build) short() string { return b.Taskq }

// String is for people.
func (b build) String() string {
	text := b.Version
	if b.Taskq != b.Version {
		text += " (taskq " + b.Taskq + ")"
	}
	return fmt.Sprintf("%s %s %s", text, b.Go, b.Platform)
}

func versionCommand(name string) Command {
	return Command{
		Use: "version", Short: "Print the version and what it was built from", Example: "version -o json", Tabular: true,
		Run: func(_ context.Context, s *Session, _ []string) error {
			b := version()
			if s.JSON() {
				return s.printJSON(b)
			}
			return printLine(s.Out, name+" "+b.String())
		},
	}
}
