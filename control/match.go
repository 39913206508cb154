package control

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Matches reports whether a command is for the node: one of the destinations, or else of a name that the pattern matches, or else any.
// The matchers are kombu's, glob (fnmatch) and pcre, of which what Go's regexp knows; a pcre matches from the start of the name.
func Matches(node string, destination []string, pattern, matcher string) (bool, error) {
	switch {
	case len(destination) > 0:
		return slices.Contains(destination, node), nil
	case pattern == "" || matcher == "":
		return true, nil
	}
	expression := `\A(?:` + pattern + `)`
	switch matcher {
	case "pcre":
	case "glob":
		expression = globExpression(pattern)
	default:
		return false, fmt.Errorf("control: unknown matcher %q; use glob or pcre", matcher)
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return false, fmt.Errorf("control: pattern: %w", err)
	}
	return re.MatchString(node), nil
}

// globExpression is the regular expression of a glob: * and ? take any characters, [abc] and [!abc] one of a set.
func globExpression(glob string) string {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); i++ {
		end := -1
		if glob[i] == '[' && i+2 < len(glob) {
			end = strings.IndexByte(glob[i+2:], ']') // the first character of a set may be the bracket itself
		}
		switch {
		case glob[i] == '*':
			b.WriteString(".*")
		case glob[i] == '?':
			b.WriteString(".")
		case end >= 0:
			b.WriteString(setExpression(glob[i+1 : i+2+end]))
			i += 2 + end
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	b.WriteString(`\z`)
	return b.String()
}

func setExpression(set string) string {
	negation := ""
	if rest, ok := strings.CutPrefix(set, "!"); ok && rest != "" {
		negation, set = "^", rest
	}
	return "[" + negation + strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, "^", `\^`).Replace(set) + "]"
}
