// Package measure is what stores have in common: checks of what they are asked for, and the arithmetic of times and turns.
package measure

import (
	"fmt"
	"math"
	"time"

	"github.com/seed-399731e2/taskq/limit"
)

// Longest is the longest time that is kept, so that no sum of a few of them with today's date overflows: as nanoseconds in 63 bits, as
// microseconds in the 53 bits of a float64, which is what a number is in Redis' scripts.
const Longest = 50 * 365 * 24 * time.Hour

// Never is when the last turn was of a key that had none: no time after it is in the future.
const Never = -2 * Longest

// Claim checks a claim and cuts its time to what can be kept.
func Claim(c limit.Claim) (limit.Claim, error) {
	c.TTL = min(c.TTL, Longest)
	c.Places = min(c.Places, math.MaxInt32)
	return c, c.Validate()
}

// Place checks who holds a place of what, for how long.
func Place(key, owner string, ttl time.Duration) (time.Duration, error) {
	c, err := Claim(limit.Claim{Key: key, Owner: owner, Places: 1, TTL: ttl})
	return c.TTL, err
}

// Turn is a call of Reserve: a turn every Every, Slack before its time, when that is no further away than Horizon.
type Turn struct {
	Every, Slack, Horizon time.Duration
}

// NewTurn checks what Reserve is asked for.
func NewTurn(key string, rate limit.Rate, horizon time.Duration) (Turn, error) {
	if _, err := Place(key, "nobody", 1); err != nil {
		return Turn{}, err
	}
	if err := rate.Validate(); err != nil {
		return Turn{}, err
	}
	if horizon < 0 {
		return Turn{}, fmt.Errorf("%w: a turn within %s: the time must not be negative", limit.ErrInvalid, horizon)
	}
	t := Turn{Every: min(rate.Every, Longest), Slack: Longest, Horizon: min(horizon, Longest)}
	if early := int64(max(rate.Burst, 1) - 1); early == 0 || int64(t.Every) <= int64(Longest)/early {
		t.Slack = time.Duration(early * int64(t.Every))
	}
	return t, nil
}

// Take returns how long it is until the turn, when the last one of the key was at last and it is now now. The turn's own time, which is
// kept as the last one, is later than that by what is left of the burst.
func (t Turn) Take(now, last time.Duration) (wait, at time.Duration) {
	at = max(now, last+t.Every)
	return max(0, at-t.Slack-now), at
}

// Answer is what Reserve returns when it is so long until the turn.
func (t Turn) Answer(wait, horizon time.Duration) (time.Duration, error) {
	if wait > t.Horizon && wait <= horizon { // the caller would take it for given
		return 0, fmt.Errorf("%w: the next turn is %s away, and none is kept that is further away than %s", limit.ErrInvalid, wait, t.Horizon)
	}
	return wait, nil
}

// Micros is the time in microseconds, rounded up: a turn may be late, not early, and a place is kept for as long as was asked for.
func Micros(d time.Duration) int64 {
	return int64((d + time.Microsecond - 1) / time.Microsecond)
}
