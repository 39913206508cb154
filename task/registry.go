package task

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/pool"
)

// Registry holds the tasks of a process by name. Fill it before use; reading it is safe for concurrent use.
type Registry struct{ specs map[string]*Spec }

// ErrDuplicate is returned by Add for a name that is taken.
var ErrDuplicate = errors.New("task name is taken")

// Add registers tasks. It returns ErrDuplicate for a name that another task has.
func (r *Registry) Add(tasks ...Definition) error {
	if r.specs == nil {
		r.specs = map[string]*Spec{}
	}
	for _, t := range tasks {
		spec := t.Spec()
		if old, ok := r.specs[spec.Name]; ok && old != spec {
			return fmt.Errorf("task: register %s: %w", spec.Name, ErrDuplicate)
		}
		r.specs[spec.Name] = spec
	}
	return nil
}

// Lookup returns the task of this name, nil when there is none.
func (r *Registry) Lookup(name string) *Spec { return r.specs[name] }

// All returns the tasks in the order of their names.
func (r *Registry) All() []*Spec {
	return slices.SortedFunc(maps.Values(r.specs), func(a, b *Spec) int { return strings.Compare(a.Name, b.Name) })
}

// Hooks returns the slot resources that the tasks need, each once, in the order of the task names.
func (r *Registry) Hooks() []pool.Hook {
	var hooks []pool.Hook
	for _, spec := range r.All() {
		for _, h := range spec.Hooks {
			if spec.Handler != nil && !slices.Contains(hooks, h) {
				hooks = append(hooks, h)
			}
		}
	}
	return hooks
}
