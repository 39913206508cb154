package limit

import "strings"

// The kinds of limits that tasks have, for TaskKey.
const (
	KindUnique = "unique"
	KindPlaces = "places"
	KindRate   = "rate"
)

// TaskKey is what a limit of a task is kept under, for senders and workers alike: of the calls with this key, or of all when it is "".
func TaskKey(kind, task, key string) string {
	if len(task) > 600 { // longer than any store takes, together with the rest
		task = task[:600]
	}
	return strings.Join([]string{kind, task, key}, ":")
}
