package accessrecord

// entry is a visit that is to be stored under the id of its task.
type entry struct {
	id    string
	visit Visit
	call  *visitCall
	err   error // why it was not stored
}

// fail gives each entry the error.
func fail(entries []*entry, err error) {
	for _, e := range entries {
		e.err = err
	}
}

// distinct returns the first entry of each task id.
func distinct(entries []*entry) []*entry {
	seen := make(map[string]bool, len(entries))
	first := make([]*entry, 0, len(entries))
	for _, e := range entries {
		if !seen[e.id] {
			seen[e.id] = true
			first = append(first, e)
		}
	}
	return first
}

// divide has store keep entries in one go, all or none. When that finds fault with one of them, the two halves are stored apart, and so
// on until that one is alone and fails. With any other error all that are not stored yet fail; it is returned.
func divide(entries []*entry, faulty func(error) bool, store func([]*entry) error) error {
	err := store(entries)
	switch {
	case err == nil:
		return nil
	case !faulty(err):
		fail(entries, err)
		return err
	case len(entries) == 1:
		fail(entries, err)
		return nil
	}
	half := len(entries) / 2
	if err := divide(entries[:half], faulty, store); err != nil {
		fail(entries[half:], err)
		return err
	}
	return divide(entries[half:], faulty, store)
}
