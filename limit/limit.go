// Package limit keeps what several processes must agree on: who holds the places of a key, and how fast its turns are taken. Locks,
// unique tasks, limits of concurrency and cluster-wide rates are made of the two. Stores are in the packages below; each passes the
// suite in limit/limittest. The package knows nothing of tasks.
package limit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxLength is how long a key or an owner may be, in bytes. All bytes are allowed.
const MaxLength = 1024

// Store holds places and turns. It is safe for concurrent use. All times are told by the store's own clock, never by the callers', so
// that processes whose clocks disagree still agree here.
type Store interface {
	// Acquire takes a place. An owner that holds one of that key keeps it, to the later of the two ends. A place whose end has passed
	// is free.
	Acquire(ctx context.Context, claim Claim) (Grant, error)
	// Extend keeps a place until ttl from now, be that later or earlier than before; ErrLost when the owner does not hold it any more.
	Extend(ctx context.Context, key, owner string, ttl time.Duration) error
	// Release gives a place back. What the owner does not hold stays as it is, whoever holds it.
	Release(ctx context.Context, key, owner string) error
	// Reserve takes the next turn of key and returns how long it is until then, 0 for now. When that is more than horizon, no turn is
	// taken; the caller comes again. Turns are given in the order of the calls. A new rate holds for the turns that are taken from then
	// on; those that were given stay.
	Reserve(ctx context.Context, key string, rate Rate, horizon time.Duration) (time.Duration, error)
	// Close closes what the store has opened itself.
	Close(ctx context.Context) error
}

// Claim asks for one of the places of a key.
type Claim struct {
	Key    string
	Owner  string        // who holds the place: the id of a task
	Places int           // how many there are; 1 makes the key a lock
	TTL    time.Duration // until the place is free again when its owner does not say so
}

// Validate returns an error that wraps ErrInvalid for a claim that no store can grant.
func (c Claim) Validate() error {
	if err := validName("key", c.Key); err != nil {
		return err
	}
	if err := validName("owner", c.Owner); err != nil {
		return err
	}
	switch {
	case c.Places < 1:
		return fmt.Errorf("%w: %d places: there must be one at least", ErrInvalid, c.Places)
	case c.TTL <= 0:
		return fmt.Errorf("%w: a place for %s: the time must be positive", ErrInvalid, c.TTL)
	}
	return nil
}

func validName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the %s is empty", ErrInvalid, what)
	case len(name) > MaxLength:
		return fmt.Errorf("%w: the %s has %d bytes, and %d are allowed: use a hash of it", ErrInvalid, what, len(name), MaxLength)
	}
	return nil
}

// Grant is the answer to a claim.
type Grant struct {
	Held bool
	// Fresh says that the owner did not hold the place before.
	Fresh bool
	// Holder is an owner that has a place, when none was left.
	Holder string
}

// Rate is how fast turns follow each other: one every Every, and Burst of them at once after a time without; 0 means 1, which is what
// Celery's rate limits have.
type Rate struct {
	Every time.Duration
	Burst int
}

// Validate returns an error that wraps ErrInvalid for a rate that nothing can have.
func (r Rate) Validate() error {
	switch {
	case r.Every <= 0:
		return fmt.Errorf("%w: a turn every %s: the time must be positive", ErrInvalid, r.Every)
	case r.Burst < 0:
		return fmt.Errorf("%w: a burst of %d turns", ErrInvalid, r.Burst)
	}
	return nil
}

// Errors of a store. Test with errors.Is.
var (
	ErrLost        = errors.New("the place is lost: its time was over, or it was never taken")
	ErrClosed      = errors.New("limit store is closed")
	ErrUnavailable = errors.New("limit store is unavailable")
	ErrAccess      = errors.New("limit store refuses access") // until someone corrects credentials, rights or names
	ErrNoStore     = errors.New("no limit store is configured")
	ErrInvalid     = errors.New("invalid limit") // claims that no store can grant, such as one of no key
)
