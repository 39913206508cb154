// Package mask hides passwords in what people get to see.
package mask

import "strings"

// Masked stands for a password.
const Masked = "**"

// Text hides the passwords of the URLs and parameters within a text, an error say.
func Text(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		if strings.Contains(word, "://") {
			words[i] = URL(word)
		}
	}
	return maskParameters(strings.Join(words, " "))
}

// URL hides the passwords of a URL, or of several with semicolons between them, in the manner of Celery:
// amqp://user:**@host. It also works on texts that are not valid URLs, on parameters named like passwords, and on the
// "password=x" of a PostgreSQL connection string. Of a text whose scheme was forgotten it leaves what follows the @.
func URL(text string) string {
	if scheme, _, _ := strings.Cut(text, "://"); scheme == text || strings.ContainsAny(scheme, ":@/ ") {
		if at := strings.LastIndex(text, "@"); at >= 0 {
			return maskParameters(Masked + text[at:])
		}
	}
	var b strings.Builder
	for rest := text; rest != ""; {
		start := strings.Index(rest, "://")
		if start < 0 {
			b.WriteString(rest)
			break
		}
		start += len("://")
		end := nextURL(rest, start)
		if continues(rest[start:end]) && strings.Contains(rest[end:], "@") {
			end = len(rest) // the password holds what looks like the next URL
		}
		b.WriteString(rest[:start] + maskUserinfo(rest[start:end]))
		rest = rest[end:]
	}
	return maskParameters(b.String())
}

// nextURL is where the next URL of a list starts: at a semicolon, a scheme that brokers and stores have, and ://. Other words may be
// part of a password.
func nextURL(text string, from int) int {
	for i := from; i < len(text); i++ {
		if text[i] != ';' {
			continue
		}
		scheme, _, found := strings.Cut(text[i+1:], "://")
		if found && isScheme(strings.ToLower(scheme)) {
			return i
		}
	}
	return len(text)
}

func isScheme(word string) bool {
	switch word {
	case "amqp", "amqps", "pyamqp", "librabbitmq", "redis", "rediss", "postgres", "postgresql", "sqlite", "memory", "rpc":
		return true
	}
	return false
}

// continues reports whether a URL behind its scheme breaks off within its password: no @, and what follows the colon is no port.
func continues(url string) bool {
	_, rest, found := strings.Cut(url, ":")
	port, _, _ := strings.Cut(rest, "/")
	return found && !strings.Contains(url, "@") && strings.Trim(port, "0123456789") != ""
}

// maskUserinfo hides what is between the first colon and the last @.
func maskUserinfo(url string) string {
	user, _, _ := strings.Cut(url, ":")
	if at := strings.LastIndexByte(url, '@'); at > len(user) {
		return user + ":" + Masked + url[at:]
	}
	return url
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
			text = text[:start] + Masked + text[end:]
			lower = strings.ToLower(text)
			from = start + len(Masked)
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
