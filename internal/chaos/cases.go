package chaos

import (
	"context"
	"slices"
	"time"
)

// Cases returns all cases, in the order of the table. The random one at the end goes on for the time given.
func Cases(soak time.Duration) []Case {
	return slices.Concat(brokerCases(), clusterCases(), lossCases(), silenceCases(), resourceCases(), topologyCases(), workerCases(),
		stopCases(), messageCases(), delayCases(), waitCases(), flowCases(), chordCases(), databaseCases(), []Case{soakCase(soak)})
}

// script is what a case does.
type script = func(context.Context, *Scene) error

// repeat strikes n times with the same kind of fault.
func repeat(n int, next func(*Scene) fault) script {
	return func(ctx context.Context, s *Scene) error {
		return s.times(ctx, n, func() fault { return next(s) })
	}
}

// once strikes with each kind of fault, one after the other.
func once(kinds ...func(*Scene) fault) script {
	return func(ctx context.Context, s *Scene) error {
		for _, kind := range kinds {
			if err := s.times(ctx, 1, func() fault { return kind(s) }); err != nil {
				return err
			}
		}
		return nil
	}
}

// afterOutage bounds recovery after an outage: reconnecting is tried with pauses that grow to 5 s.
const afterOutage = 8 * time.Second
