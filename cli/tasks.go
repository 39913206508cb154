package cli

import (
	"context"
	"strings"

	"github.com/seed-399731e2/taskq/task"
)

// taskInfo is a line of `tasks` in JSON.
type taskInfo struct {
	Name      string       `json:"name"`
	Signature string       `json:"signature"`
	Params    []task.Param `json:"params"`
	Returns   string       `json:"returns,omitempty"`
	Doc       string       `json:"doc,omitempty"`
	Queue     string       `json:"queue,omitempty"`
	Remote    bool         `json:"remote"` // implemented elsewhere
}

func tasksCommand() Command {
	return Command{
		Use: "tasks", Short: "List the registered tasks with their signatures", Tabular: true, offline: true,
		Example: `tasks
tasks -o json`,
		Run: func(_ context.Context, s *Session, _ []string) error {
			app, err := s.App()
			if err != nil {
				return err
			}
			t := Table{Header: []string{"TASK", "SIGNATURE", "ABOUT"}}
			data := []taskInfo{}
			for _, spec := range app.Registry().All() {
				info := taskInfo{
					Name: spec.Name, Signature: signature(spec), Params: spec.Params, Returns: spec.Returns,
					Doc: spec.Doc, Queue: spec.Call.Queue, Remote: spec.Handler == nil,
				}
				about := info.Doc
				if info.Remote {
					about = strings.TrimSpace(about + " (runs elsewhere)")
				}
				t.Rows = append(t.Rows, []string{info.Name, info.Signature, about})
				data = append(data, info)
			}
			t.Data = data
			return s.Print(t)
		},
	}
}

// signature is how the task is called: (x int, y int = …) int. What follows a * is by keyword only.
func signature(spec *task.Spec) string {
	var parts []string
	star := false
	for _, p := range spec.Params {
		if p.Keyword && !star {
			star = true
			parts = append(parts, "*")
		}
		text := strings.TrimSpace(p.Name + " " + p.Type)
		if p.Optional {
			text += " = …"
		}
		parts = append(parts, text)
	}
	return strings.TrimSpace("(" + strings.Join(parts, ", ") + ") " + spec.Returns)
}
