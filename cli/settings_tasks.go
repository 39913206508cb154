package cli

import (
	"fmt"

	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/worker"
)

// taskSettings change limits of tasks without their code.
func taskSettings() []config.Key {
	return []config.Key{{
		Name: "tasks", Kind: config.Tables, Fields: config.Table{
			{Name: "rate_limit", Check: checkRate}, {Name: "time_limit", Kind: config.Seconds}, {Name: "soft_time_limit", Kind: config.Seconds},
		},
		Help: `limits of tasks by their names, in place of those in the code; "*" is for all that have no table of their own`,
	}}
}

func checkRate(text string) error {
	if _, err := task.ParseRate(text); err != nil {
		return fmt.Errorf("%w; wanted is how often, as in 10/s, 10/m or 10/h", err)
	}
	return nil
}

// taskOptions are what the settings say of tasks.
func (s *Session) taskOptions() map[string]worker.TaskOptions {
	tasks := map[string]worker.TaskOptions{}
	for _, e := range s.Config.Entries("tasks") {
		tasks[e.Name] = worker.TaskOptions{
			RateLimit: e.Text("rate_limit"), TimeLimit: e.Seconds("time_limit"), SoftTimeLimit: e.Seconds("soft_time_limit"),
		}
	}
	return tasks
}
