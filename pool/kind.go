package pool

import "fmt"

// Kind names a pool: what its slots run on.
type Kind string

// The kinds of pools. They differ in what a slot runs on, and in nothing else.
const (
	Solo       Kind = "solo"       // one slot
	Threads    Kind = "threads"    // every slot has an operating system thread of its own
	Goroutines Kind = "goroutines" // every slot is a goroutine; cheap enough for thousands
)

// ParseKind reads the name of a pool as it is given to -P. The notice is "" or a sentence for the user, when a name of
// Celery's was taken for one of ours.
func ParseKind(name string) (kind Kind, notice string, err error) {
	switch name {
	case string(Solo), string(Threads), string(Goroutines):
		return Kind(name), "", nil
	case "gevent", "eventlet":
		return Goroutines, fmt.Sprintf("pool %q is run as %q: goroutines are Go's green threads", name, Goroutines), nil
	case "prefork", "processes":
		return "", "", fmt.Errorf("pool: %q is not available: slots are no child processes here; "+
			"use %s (a thread for each slot), %s (many slots) or %s (one slot)", name, Threads, Goroutines, Solo)
	}
	return "", "", fmt.Errorf("pool: unknown pool %q: the pools are %s, %s and %s (gevent and eventlet mean %s)",
		name, Solo, Threads, Goroutines, Goroutines)
}
