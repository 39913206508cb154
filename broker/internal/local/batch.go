package local

import "github.com/seed-399731e2/taskq/broker"

// Each does something with each message of a batch and returns its errors, nil when there are none.
func Each(batch []broker.Posting, do func(i int, p broker.Posting) error) []error {
	var errs []error
	for i, posting := range batch {
		if err := do(i, posting); err != nil {
			if errs == nil {
				errs = make([]error, len(batch))
			}
			errs[i] = err
		}
	}
	return errs
}
