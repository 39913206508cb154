package worker

import (
	"maps"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/task"
)

// reprSet prints texts as Python prints a set of them.
func reprSet(texts []string) string {
	if len(texts) == 0 {
		return "set()"
	}
	words := make([]string, len(texts))
	for i, text := range texts {
		words[i] = task.Repr(text)
	}
	return "{" + strings.Join(words, ", ") + "}"
}

// reprSets prints sets of what is printed already, by name, as Celery answers.
func reprSets(sets map[string][]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		set := slices.Compact(slices.Sorted(slices.Values(sets[name])))
		parts = append(parts, task.Repr(name)+": {"+strings.Join(set, ", ")+"}")
	}
	return "defaultdict(<class 'set'>, {" + strings.Join(parts, ", ") + "})"
}
