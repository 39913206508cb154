package task

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Rate is how often a task may start: once every so long. 0 is no limit.
type Rate time.Duration

// ParseRate reads a rate in Celery's words (celery/utils/time.py, rate): a number with /s, /m or /h behind it, or without for as many a
// second. "" and "0" are no limit.
func ParseRate(text string) (Rate, error) {
	number, unit, _ := strings.Cut(text, "/")
	var per time.Duration
	switch unit {
	case "", "s":
		per = time.Second
	case "m":
		per = time.Minute
	case "h":
		per = time.Hour
	default:
		return 0, &RateError{text, fmt.Sprintf("unknown unit %s, want s, m or h", Repr(unit))}
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil:
		return 0, &RateError{text, "could not convert string to float: " + Repr(number)}
	case math.IsNaN(n) || math.IsInf(n, 0) || n < 0:
		return 0, &RateError{text, "not a number of times: " + Repr(number)}
	case n == 0:
		return 0, nil
	}
	every := float64(per) / n
	if every > math.MaxInt64/4 {
		return 0, &RateError{text, "less than once in seventy years"}
	}
	return Rate(max(time.Duration(every), 1)), nil
}

// RateError says what is wrong with a rate.
type RateError struct{ Text, Reason string }

// Error names the rate and the reason.
func (e *RateError) Error() string {
	return fmt.Sprintf("task: Invalid rate limit string: %s: %s", Repr(e.Text), e.Reason)
}

// Every is the time from one start to the next; 0 is none.
func (r Rate) Every() time.Duration { return time.Duration(r) }

// String writes the rate as ParseRate reads it, in the unit that shows it best.
func (r Rate) String() string {
	if r <= 0 {
		return ""
	}
	for _, u := range []struct {
		per  time.Duration
		unit string
	}{{time.Second, "/s"}, {time.Minute, "/m"}} {
		if n := float64(u.per) / float64(r); n >= 0.99 {
			return rounded(n) + u.unit
		}
	}
	return rounded(float64(time.Hour)/float64(r)) + "/h"
}

// rounded hides what nanoseconds cut off.
func rounded(n float64) string {
	if whole := math.Round(n); whole > 0 && math.Abs(n-whole) < 1e-6*n {
		n = whole
	}
	return strconv.FormatFloat(n, 'g', 6, 64)
}
