package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// Suite plays cases one after the other.
type Suite struct {
	World *World
	Seed  uint64
	// Match chooses cases by name; nil is all.
	Match *regexp.Regexp
	// Every plays every variant of a case instead of one of them.
	Every bool
	Out   io.Writer // gets a line for each case
}

// Run plays the cases. The error says that a case could not be played; what taskq did wrong is in the results.
func (s *Suite) Run(ctx context.Context, cases []Case) ([]*Result, error) {
	var results []*Result
	var errs []error
	for _, c := range cases {
		if s.Match != nil && !s.Match.MatchString(c.Name) {
			continue
		}
		if c.Impossible != "" {
			_, _ = fmt.Fprintf(s.Out, "%-22s not played: %s\n", c.Name, c.Impossible)
			continue
		}
		variants := c.variants()
		if !s.Every { // another one for each case and seed, so that all come up in time
			n := (c.hash() + s.Seed) % uint64(len(variants))
			variants = variants[n : n+1]
		}
		for _, v := range variants {
			r, err := s.play(ctx, v)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
				continue
			}
			results = append(results, r)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return results, errors.Join(errs...)
}

func (s *Suite) play(ctx context.Context, v variant) (*Result, error) {
	_, _ = fmt.Fprintf(s.Out, "%-22s %-8s%-11s", v.Name, v.queue, v.pool)
	r, err := s.World.run(ctx, v, s.Seed)
	if err != nil {
		_, _ = fmt.Fprintf(s.Out, "could not be played: %v\n", err)
		return nil, errors.Join(err, s.World.discard())
	}
	_, _ = fmt.Fprintf(s.Out, "%s\n", r)
	if !r.Verdict.OK() {
		for _, p := range r.Verdict.Problems {
			_, _ = fmt.Fprintf(s.Out, "    FAILED: %s\n", p)
		}
		_, _ = fmt.Fprintf(s.Out, "    again: -seed %d -run '^%s$' (files: %s)\n", s.Seed, v.Name, r.Dir)
		return r, s.World.discard()
	}
	return r, nil
}

// String is one line.
func (r *Result) String() string {
	v := r.Verdict
	return fmt.Sprintf("%5d sent, %d lost, %d/%d twice, %d faults, %d connections lost, recovery %.1f s, %.0f s",
		v.Accepted, len(v.Lost), v.Duplicates, v.Allowed, r.Faults, r.Lost, v.Recovery.Seconds(), r.Took.Round(time.Second).Seconds())
}
