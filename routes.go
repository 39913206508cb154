package taskq

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/seed-399731e2/taskq/task"
)

// Routes say where calls go, by the names of their tasks (Celery's task_routes). The first one that fits decides, but for this: between two
// functions, and before the first and after the last, one that names the task goes before those with patterns. What the call or its
// task says goes before the route, and the route before Config.Call and Config.DefaultQueue.
type Routes []Route

// Route is one rule. It has one of Match, Regexp and Func.
type Route struct {
	// Match is the name of a task, or a pattern for names as of a shell: * is any text, ? any character, [abc] one of them, [!abc] none
	// of them. The case counts. It must fit the whole name.
	Match string
	// Regexp must fit from the beginning of the name, and need not fit to its end.
	Regexp string
	// Func decides by the whole call, as far as it and its task say how to send it; false leaves it to the routes that follow. Of the
	// route that it returns, only what comes below counts.
	Func func(ctx context.Context, s task.Signature) (Route, bool)

	// Queue to send to, or Exchange in its place; RoutingKey is as in the option of that name. Without any of them the default queue
	// stays.
	Queue, Exchange, RoutingKey string
	// Options of the calls, such as task.Priority, task.ExpiresIn and task.Serializer, unless they or their tasks have their own.
	Options []task.CallOption
}

// options are what the route says of a call.
func (r Route) options() task.CallOptions {
	options := make([]task.SendOption, len(r.Options))
	for i, o := range r.Options {
		options[i] = o
	}
	c := task.Signature{}.With(options...).CallOptions
	if r.Queue != "" || r.Exchange != "" {
		c.Queue, c.Exchange = r.Queue, r.Exchange
	}
	if r.RoutingKey != "" {
		c.RoutingKey = r.RoutingKey
	}
	return c
}

// rule is a route that is ready for use.
type rule struct {
	route   Route
	pattern *regexp.Regexp // nil: a name or a function
	options task.CallOptions
	text    string // which route it is, for people
}

// section is a part of the routes up to a function.
type section struct {
	names    map[string]*rule
	patterns []*rule
	function *rule // nil: the end
}

// router finds the route of a call.
type router []section

func newRouter(routes Routes, queues *queues) (router, error) {
	r := router{{names: map[string]*rule{}}}
	for i, route := range routes {
		one := &rule{route: route, text: fmt.Sprintf("routes[%d], %s", i, route.what())}
		if err := one.compile(queues); err != nil {
			return nil, fmt.Errorf("taskq: routes[%d]: %w", i, err)
		}
		last := &r[len(r)-1]
		switch {
		case route.Func != nil:
			last.function = one
			r = append(r, section{names: map[string]*rule{}})
		case one.pattern != nil:
			last.patterns = append(last.patterns, one)
		case last.names[route.Match] == nil:
			last.names[route.Match] = one
		}
	}
	return r, nil
}

// compile checks the route and reads its pattern.
func (r *rule) compile(queues *queues) (err error) {
	kinds := 0
	for _, given := range []bool{r.route.Match != "", r.route.Regexp != "", r.route.Func != nil} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return invalid("it needs a match, a regexp or a function, and only one of them")
	}
	switch {
	case r.route.Regexp != "":
		if r.pattern, err = regexp.Compile(`\A(?:` + r.route.Regexp + `)`); err != nil {
			_, err = regexp.Compile(r.route.Regexp) // in the user's own words
			return invalid("%v; the syntax is that of Go, which has no look-ahead", err)
		}
	case strings.ContainsAny(r.route.Match, "*?["):
		if r.pattern, err = regexp.Compile(globSyntax(r.route.Match)); err != nil {
			return invalid("the pattern %q: %v", r.route.Match, err)
		}
	}
	r.options = r.route.options()
	return checkRoute(r.options, queues)
}

// checkRoute refuses routes that lead nowhere.
func checkRoute(c task.CallOptions, queues *queues) error {
	if c.Queue != "" && c.Exchange != "" {
		return invalid("the queue %q and the exchange %q: a call goes to a queue or to an exchange", c.Queue, c.Exchange)
	}
	if c.Queue != "" {
		if err := queues.known(c.Queue); err != nil {
			return err
		}
	}
	return c.Validate()
}

// find returns the rule for the call and what it says, nil when there is none.
func (r router) find(ctx context.Context, s task.Signature) (*rule, task.CallOptions) {
	for _, part := range r {
		if named := part.names[s.Task]; named != nil {
			return named, named.options
		}
		for _, one := range part.patterns {
			if one.pattern.MatchString(s.Task) {
				return one, one.options
			}
		}
		if part.function == nil {
			continue
		}
		if route, ok := part.function.route.Func(ctx, s); ok {
			return part.function, route.options()
		}
	}
	return nil, task.CallOptions{}
}

// what is the route for people: `match "feed.*"`.
func (r Route) what() string {
	switch {
	case r.Match != "":
		return fmt.Sprintf("match %q", r.Match)
	case r.Regexp != "":
		return fmt.Sprintf("regexp %q", r.Regexp)
	}
	return "a function"
}

// globSyntax is a pattern for names as a regular expression, with the meaning that it has in Python (fnmatch).
func globSyntax(glob string) string {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for rest := glob; rest != ""; {
		head, tail := rest[:1], rest[1:]
		switch head {
		case "*":
			b.WriteString(".*")
		case "?":
			b.WriteString(".")
		case "[":
			if class, after, ok := globClass(tail); ok {
				b.WriteString(class)
				tail = after
				break
			}
			b.WriteString(`\[`)
		default:
			b.WriteString(regexp.QuoteMeta(head))
		}
		rest = tail
	}
	b.WriteString(`\z`)
	return b.String()
}

// globClass reads what is in brackets. A bracket that nothing closes stands for itself; one that comes first in the class is part of it.
func globClass(text string) (class, rest string, ok bool) {
	negated := strings.HasPrefix(text, "!")
	text = strings.TrimPrefix(text, "!")
	if text == "" {
		return "", "", false
	}
	end := strings.IndexByte(text[1:], ']') + 1
	if end < 1 {
		return "", "", false
	}
	inside := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(text[:end])
	if negated {
		inside = "^" + inside
	}
	return "[" + inside + "]", text[end+1:], true
}
