package accessrecord

import "strings"

// forwarded returns the value of "for" of each element of Forwarded headers (RFC 7239, section 4), "" where an element has none.
// An element that is malformed hides what stands to its left, because nobody can tell who has written it.
func forwarded(lines []string) []string {
	var hops []string
	for _, element := range split(strings.Join(lines, ","), ',') {
		if strings.TrimSpace(element) == "" {
			continue // empty list elements are allowed (RFC 9110, section 5.6.1)
		}
		hop, ok := forOf(element)
		if !ok {
			hops = hops[:0]
			hop = ""
		}
		hops = append(hops, hop)
	}
	return hops
}

// forOf returns the value of the pair "for" of one element.
func forOf(element string) (value string, ok bool) {
	seen := false
	for _, pair := range split(element, ';') {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		name, v, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return "", false
		}
		v, ok := unquote(v)
		if !ok {
			return "", false
		}
		if strings.EqualFold(name, "for") {
			if seen {
				return "", false
			}
			value, seen = v, true
		}
	}
	return value, true
}

// split cuts s at sep outside of quoted strings.
func split(s string, sep byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
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
