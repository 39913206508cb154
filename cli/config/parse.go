package config

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parse reads a text. An empty text is the kind's zero value: a variable that is set to nothing counts as given, and means nothing.
func (k Key) parse(text string) (any, error) {
	if text != "" && len(k.Choices) > 0 {
		text = strings.ToLower(text)
		if !slices.Contains(k.Choices, text) {
			return nil, fmt.Errorf("%q is none of %s", text, strings.Join(k.Choices, ", "))
		}
	}
	if text != "" && k.Check != nil {
		if err := k.Check(text); err != nil {
			return nil, err
		}
	}
	switch k.Kind {
	case URL:
		return text, checkURL(text)
	case Int:
		return parseInt(text)
	case Seconds:
		return ParseSeconds(text)
	case Switch:
		return parseSwitch(text)
	case List:
		return parseList(text), nil
	case Tables, Records:
		return k.parseJSON(text)
	case Text, Map:
	}
	return text, nil
}

// checkURL reports why text is no URL without repeating it: it may hold a password.
func checkURL(text string) error {
	for one := range strings.SplitSeq(text, ";") {
		u, err := url.Parse(one)
		if err == nil && (u.Scheme != "" || one == "") {
			continue
		}
		if err == nil || strings.Contains(err.Error(), "missing protocol scheme") || !strings.Contains(text, "://") {
			return fmt.Errorf("%q has no scheme; write it like amqp://user:password@host:5672/vhost", MaskURL(text))
		}
		reason := errors.Unwrap(err)
		switch cause := reason.(type) { //nolint:errorlint // the type says whether the text is part of the message
		case url.EscapeError, url.InvalidHostError:
			return fmt.Errorf("not a URL: a %% must be written as %%25 (%s)", MaskURL(text))
		default:
			if cause != nil && strings.Contains(cause.Error(), "invalid port") {
				return fmt.Errorf("not a URL: the port is not a number, or the password has a character that must be written in %%-code (%s)", MaskURL(text))
			}
			return fmt.Errorf("not a URL: special characters in the user name and password must be written in %%-code (%s)", MaskURL(text))
		}
	}
	return nil
}

func parseInt(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	return ParseCount(text)
}

// ParseCount reads a whole number that is not negative.
func ParseCount(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	switch {
	case errors.Is(err, strconv.ErrRange) || n > math.MaxInt32:
		return 0, fmt.Errorf("%s is too large", text)
	case err != nil:
		return 0, fmt.Errorf("%q is not a whole number", text)
	case n < 0:
		return 0, fmt.Errorf("%d is negative", n)
	}
	return n, nil
}

// ParseSeconds reads a number of seconds ("90", "0.5") or a Go duration ("1m30s"). "" is 0; a negative one is an error.
func ParseSeconds(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	text = strings.TrimSpace(text)
	d, err := time.ParseDuration(text)
	if f, floatErr := strconv.ParseFloat(text, 64); floatErr == nil {
		if math.IsNaN(f) || math.Abs(f) >= math.MaxInt64/float64(time.Second) {
			return 0, fmt.Errorf("%s is too large", text)
		}
		d, err = time.Duration(f*float64(time.Second)), nil
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a number of seconds, nor a duration like 1m30s", text)
	case d < 0:
		return 0, fmt.Errorf("%s is negative", text)
	}
	return d, nil
}

func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "true", "yes", "on":
		return true, nil
	case "", "0", "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func parseList(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
