package workflow_test

import (
	"slices"
	"testing"

	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

func BenchmarkPlan(b *testing.B) {
	many := slices.Repeat([]task.Signature{{Task: "a"}}, 1000)
	for name, s := range map[string]task.Signature{"call": {Task: "a"}, "group of 1000": group(many...), "chord of 1000": chord(call("sum"), many...), "chain of 1000": chain(many...)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := workflow.New(workflow.Origin{ID: "1"}).Start(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A chain of n steps is planned n times: each worker has the rest to hand on.
func BenchmarkNextStep(b *testing.B) {
	p := workflow.New(workflow.Origin{})
	if _, err := p.Start(chain(slices.Repeat([]task.Signature{{Task: "a"}}, 1000)...)); err != nil {
		b.Fatal(err)
	}
	f := workflow.Followers{Chain: p.Calls[0].Chain}
	b.ReportAllocs()
	for b.Loop() {
		if err := workflow.New(workflow.Origin{ID: "1"}).Succeed(f, []byte("1")); err != nil {
			b.Fatal(err)
		}
	}
}
