package config

import "strings"

const masked = "**"

// MaskURL hides the passwords of a URL, or of several with semicolons between them, in the manner of Celery:
// amqp://user:**@host. It also works on texts that are not valid URLs, on parameters named like passwords, and on the
// "password=x" of a PostgreSQL connection string.
func MaskURL(text string) string {
	parts := strings.Split(text, "://")
	for i := 1; i < len(parts); i++ {
		parts[i] = maskUserinfo(parts[i], i < len(parts)-1)
	}
	return maskParameters(strings.Join(parts, "://"))
}

// maskUserinfo hides what is between the first colon and the last @. A part without an @ that another :// follows can be a piece of
// a password, unless it is a whole URL of a list.
func maskUserinfo(part string, more bool) string {
	user, _, found := strings.Cut(part, ":")
	if !found {
		return part
	}
	if at := strings.LastIndexByte(part, '@'); at > len(user) {
		return user + ":" + masked + part[at:]
	}
	if more && !strings.Contains(part, ";") {
		return user + ":" + masked
	}
	return part
}

func maskParameters(text string) string {
	lower := strings.ToLower(text)
	for _, name := range []string{"password=", "passwd=", "secret=", "token="} {
		for from := 0; ; {
			i := strings.Index(lower[from:], name)
			if i < 0 {
				break
			}
			start := from + i + len(name)
			end := start + valueEnd(text[start:])
			text = text[:start] + masked + text[end:]
			lower = strings.ToLower(text)
			from = start + len(masked)
		}
	}
	return text
}

// valueEnd is where the value of a parameter ends; it may stand in quotes.
func valueEnd(text string) int {
	if strings.HasPrefix(text, "'") {
		if i := strings.IndexByte(text[1:], '\''); i >= 0 {
			return i + 2
		}
		return len(text)
	}
	if i := strings.IndexAny(text, "&; "); i >= 0 {
		return i
	}
	return len(text)
}
