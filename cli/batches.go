package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/task"
)

// batchWait is how long a batch waits that says no more than its size.
const batchWait = time.Second

// parseBatches reads TASK=SIZE,WAIT from the items of a list: what has no equals sign is the wait of the one before it.
func parseBatches(items []string) (map[string]task.BatchPolicy, error) {
	var batches map[string]task.BatchPolicy
	last := "" // the task whose wait may follow
	for _, item := range items {
		name, size, ok := strings.Cut(item, "=")
		if !ok {
			if last == "" {
				return nil, fmt.Errorf("%q: wanted is TASK=SIZE,WAIT, like access_record=500,1s", item)
			}
			wait, err := config.ParseSeconds(item)
			if err == nil && wait == 0 {
				err = errors.New("the wait must be more than 0")
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", last, err)
			}
			batches[last] = task.BatchPolicy{Size: batches[last].Size, Wait: wait}
			last = ""
			continue
		}
		if _, twice := batches[name]; twice || name == "" {
			return nil, fmt.Errorf("%q: each batch needs a task of its own", item)
		}
		n, err := config.ParseCount(size)
		if err == nil && n < 1 {
			err = errors.New("the size must be at least 1")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if batches == nil {
			batches = map[string]task.BatchPolicy{}
		}
		batches[name], last = task.BatchPolicy{Size: n, Wait: batchWait}, name
	}
	return batches, nil
}

// checkBatches refuses a text that parseBatches does not read.
func checkBatches(text string) error {
	_, err := parseBatches(strings.Split(text, ","))
	return err
}
