package worker

// turns say which queue the next delivery is taken from. They decide and do nothing.
type turns struct {
	weights []int // of each queue; nil is the strict order: the first one comes first
	credit  []int
}

// next returns the queue whose turn it is among those that may have something; -1 when none may.
func (t *turns) next(may []bool) int {
	best := -1
	for i, ok := range may {
		switch {
		case !ok:
		case best < 0:
			best = i
		case t.weights != nil && t.credit[i]+t.weights[i] > t.credit[best]+t.weights[best]:
			best = i
		}
	}
	return best
}

// took notes that queue i has had its turn. Each of those that may have something gets its weight as credit, and i pays for all of them:
// so the turns of a queue are spread evenly between those of the others.
func (t *turns) took(i int, may []bool) {
	if t.weights == nil {
		return
	}
	for j, ok := range may {
		if ok {
			t.credit[j] += t.weights[j]
			t.credit[i] -= t.weights[j]
		}
	}
}
