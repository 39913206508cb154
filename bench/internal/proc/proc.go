// Package proc reads what processes use: CPU and memory, of a program with its children, and finds servers by their ports. It reads
// /proc, so elsewhere than on Linux nothing is known.
package proc

import (
	"errors"
	"time"
)

// ErrUnknown is returned where the system does not tell, or the process has ended.
var ErrUnknown = errors.New("proc: unknown")

// process is one process of a snapshot.
type process struct {
	parent int
	name   string
	cpu    time.Duration // its own, and that of its children that have ended
	own    time.Duration // of this, its own
}

// Snapshot is what all processes had used at one moment.
type Snapshot struct {
	processes map[int]process
	children  map[int][]int
}

// CPU returns the time that the process and all its descendants have used, those included that have ended and were waited for.
func (s Snapshot) CPU(pid int) (time.Duration, error) {
	tree := s.Tree(pid)
	if len(tree) == 0 {
		return 0, ErrUnknown
	}
	var sum time.Duration
	for _, p := range tree {
		sum += s.processes[p].cpu
	}
	return sum, nil
}

// Tree returns the process and its descendants, none when it has ended.
func (s Snapshot) Tree(pid int) []int {
	if _, ok := s.processes[pid]; !ok {
		return nil
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, s.children[tree[i]]...)
	}
	return tree
}

// Peak returns the most resident bytes that the process and its descendants have had, each by itself. Pages that they share count
// several times.
func (s Snapshot) Peak(pid int) (int64, error) { return s.memory(pid, "VmHWM:") }

// Resident returns their resident bytes of now.
func (s Snapshot) Resident(pid int) (int64, error) { return s.memory(pid, "VmRSS:") }

func (s Snapshot) memory(pid int, field string) (int64, error) {
	var sum int64
	for _, p := range s.Tree(pid) {
		n, err := status(p, field)
		if err != nil {
			continue // it has ended since
		}
		sum += n
	}
	if sum == 0 {
		return 0, ErrUnknown
	}
	return sum, nil
}
