package accessrecord

import (
	"slices"
	"strings"
)

// forwarded returns the value of "for" of each element of Forwarded headers (RFC 7239, section 4); "" for an element that has none
// or is malformed.
func forwarded(lines []string) []string {
	var hops []string
	for _, element := range split(strings.Join(lines, ","), ',') {
		if strings.TrimSpace(element) != "" { // a list may have empty elements (RFC 9110, section 5.6.1)
			hops = append(hops, forOf(element))
		}
	}
	return hops
}

// forOf returns the value of the pair "for" of one element.
func forOf(element string) (value string) {
	for _, pair := range split(element, ';') {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, quoted, _ := strings.Cut(pair, "=")
		v, ok := unquote(quoted)
		if isFor := strings.EqualFold(name, "for"); !ok || isFor && value != "" {
			return ""
		} else if isFor {
			value = v
		}
	}
	return value
}

// split cuts s at sep outside of quoted strings. It starts from the right, where the trusted proxies have written: an open quote
// that a visitor has sent cannot swallow what they have added.
func split(s string, sep byte) []string {
	var parts []string
	quoted, end := false, len(s)
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"' && (!quoted || !escaped(s, i)):
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[i+1:end])
			end = i
		}
	}
	parts = append(parts, s[:end])
	slices.Reverse(parts)
	return parts
}

// escaped reports whether an odd number of backslashes stands before s[i].
func escaped(s string, i int) bool {
	return (i-len(strings.TrimRight(s[:i], `\`)))%2 == 1
}

// unquote returns the value of a token or a quoted string.
func unquote(s string) (string, bool) {
	if !strings.HasPrefix(s, `"`) {
		return s, s != "" && !strings.ContainsAny(s, "\" \t\\")
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			if i++; i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}
