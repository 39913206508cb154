package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-399731e2/taskq/worker"
)

// queueWeight reads a queue as worker.queues names it: its name or, with a weight, name:5. Names may have colons in them; one that ends
// in a colon and digits of its own needs a weight behind them, as in "v:2:1" for the queue v:2. No weight is 0.
func queueWeight(text string) (name string, weight int, err error) {
	at := strings.LastIndexByte(text, ':')
	if at < 0 || strings.Trim(text[at+1:], "0123456789") != "" || at == len(text)-1 {
		return text, 0, nil
	}
	name = text[:at]
	weight, err = strconv.Atoi(text[at+1:])
	switch {
	case name == "":
		return "", 0, fmt.Errorf("worker.queues: %q is a weight without a queue: write name:weight", text)
	case err != nil || weight < 1 || weight > worker.MaxWeight:
		return "", 0, fmt.Errorf("worker.queues: %q: a weight is a number from 1 to %d; for a queue whose name is %s write %s:1",
			text, worker.MaxWeight, text, text)
	}
	return name, weight, nil
}

// queueWeights reads the queues with their weights; nil when none has one.
func queueWeights(texts []string) (names []string, weights map[string]int, err error) {
	for _, text := range texts {
		name, weight, err := queueWeight(text)
		if err != nil {
			return nil, nil, Exit(Usage, err)
		}
		if other, twice := weights[name]; twice && weight > 0 && weight != other {
			return nil, nil, Exit(Usage, fmt.Errorf("worker.queues: the queue %s has the weights %d and %d: name it once", name, other, weight))
		}
		if weight > 0 {
			if weights == nil {
				weights = map[string]int{}
			}
			weights[name] = weight
		}
		names = append(names, name)
	}
	return names, weights, nil
}

// weights are those of the queues that are consumed.
func (s *Session) weights(queues []string) (map[string]int, error) {
	_, all, err := queueWeights(s.Config.List("worker.queues"))
	if err != nil {
		return nil, err
	}
	var weights map[string]int
	for _, queue := range queues {
		if w, ok := all[queue]; ok {
			if weights == nil {
				weights = map[string]int{}
			}
			weights[queue] = w
		}
	}
	return weights, nil
}
