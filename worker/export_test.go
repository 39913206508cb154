package worker

// Settlers is how many goroutines there are for settling beside the slots.
func (w *Worker) Settlers() int { return len(w.aside) }
