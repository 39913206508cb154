package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// none stands for what was not measured.
const none = "–"

// rate formats tasks per second, as in 30, 3.9k, 142k, 1.2M.
func rate(v float64) string {
	switch {
	case v <= 0:
		return none
	case v < 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v < 999.5:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v < 99_950:
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + "k"
	case v < 999_500:
		return strconv.FormatFloat(v/1e3, 'f', 0, 64) + "k"
	}
	return strconv.FormatFloat(v/1e6, 'f', 1, 64) + "M"
}

// count formats a number of things, as in 500, 50k, 1.2M.
func count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return strings.Replace(rate(float64(n)), ".0", "", 1)
}

// amount formats microseconds and allocations: one digit behind the point below ten.
func amount(v float64) string {
	switch {
	case v <= 0:
		return none
	case v < 9.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// ratio formats one figure by another.
func ratio(v float64) string {
	switch {
	case v < 0.095:
		return strconv.FormatFloat(v, 'g', 2, 64)
	case v < 9.95:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// part formats a ratio, a small one as 1/7.
func part(v float64) string {
	if v <= 0 || v >= 0.2 {
		return ratio(v)
	}
	return "1/" + strings.TrimSuffix(strconv.FormatFloat(1/v, 'f', 1, 64), ".0")
}

// size formats bytes.
func size(n int64) string {
	switch v := float64(n); {
	case v <= 0:
		return none
	case v < 1e6:
		return strconv.FormatFloat(v/1e3, 'f', 0, 64) + " KB"
	case v < 9.95e6:
		return strconv.FormatFloat(v/1e6, 'f', 1, 64) + " MB"
	case v < 999.5e6:
		return strconv.FormatFloat(v/1e6, 'f', 0, 64) + " MB"
	default:
		return strconv.FormatFloat(v/1e9, 'f', 1, 64) + " GB"
	}
}

// wait formats a duration with two or three digits.
func wait(d time.Duration) string {
	switch {
	case d <= 0:
		return none
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

// figure formats a figure with its unit.
func figure(v float64, unit string) string {
	if unit == "" {
		return none
	}
	text := strconv.FormatFloat(v, 'f', 2, 64)
	if v >= 10 {
		text = strconv.FormatFloat(v, 'f', 0, 64)
	}
	return text + " " + unit
}
