package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// sendFlags are the flags of `send`.
type sendFlags struct {
	args, kwargs, id, timeout, canvas  string
	wait                               bool
	queue, exchange, routingKey        string
	priority                           uint8
	countdown, eta, expires            string
	timeLimit, softTimeLimit           string
	link, linkError                    []string
	ignoreResult                       bool
	replyTo, rootID, parentID          string
	serializer, compression            string
	headers, stamps                    []string
	shadow, argsRepr, kwargsRepr       string
	transient, noRetry                 bool
	publishRetries                     uint8
	prioritySet, publishRetriesChanged func() bool
	program                            *program
}

func (f *sendFlags) groups() []FlagGroup {
	return []FlagGroup{
		{"What is sent", func(flags *pflag.FlagSet) {
			f.arguments(flags)
			flags.StringVar(&f.canvas, "canvas", "", "`file` of a workflow to send in place of a task; - is the standard input")
			flags.StringVar(&f.id, "task-id", "", "`id` of the task (default: a new UUID)")
			flags.BoolVar(&f.wait, "wait", false, "wait for the result and print it")
			flags.StringVar(&f.timeout, "timeout", "", "`seconds` to wait for the result at the most (with --wait)")
		}},
		{"Where it goes", func(flags *pflag.FlagSet) {
			flags.StringVar(&f.queue, "queue", "", "`queue` to send to (default: the task's, by route, or the default queue)")
			flags.StringVar(&f.exchange, "exchange", "", "`exchange` to send to instead; it must exist")
			flags.StringVar(&f.routingKey, "routing-key", "", "`key` for the exchange, or for that of the queue: a topic, say")
			flags.Uint8Var(&f.priority, "priority", 0, "priority of the message, a `number` from 0 to 255; the queue needs x-max-priority")
			f.prioritySet = func() bool { return flags.Changed("priority") }
		}},
		{"When it runs", func(flags *pflag.FlagSet) {
			flags.StringVar(&f.countdown, "countdown", "", "`seconds` from now until the task may start")
			flags.StringVar(&f.eta, "eta", "", "`time` at which the task may start, in ISO 8601; without a zone it is UTC")
			flags.StringVar(&f.expires, "expires", "", "`seconds` from now, or time in ISO 8601, after which it does not start any more")
			flags.StringVar(&f.timeLimit, "time-limit", "", "`seconds` after which it is given up")
			flags.StringVar(&f.softTimeLimit, "soft-time-limit", "", "`seconds` after which its context is cancelled")
		}},
		{"What becomes of it", func(flags *pflag.FlagSet) {
			flags.StringArrayVar(&f.link, "link", nil, "`task` to call with the result: a name, or JSON like "+linkExample+"; can be repeated")
			flags.StringArrayVar(&f.linkError, "link-error", nil, "`task` to call with the id if this one fails; likewise")
			flags.BoolVar(&f.ignoreResult, "ignore-result", false, "keep no result")
			flags.StringVar(&f.replyTo, "reply-to", "", "`queue` for the result over rpc://, instead of one's own")
			flags.StringVar(&f.rootID, "root-id", "", "`id` of the first task of the workflow (default: this one)")
			flags.StringVar(&f.parentID, "parent-id", "", "`id` of the task that this one is sent for")
		}},
		{"How it is written and sent", func(flags *pflag.FlagSet) {
			flags.StringVar(&f.serializer, "serializer", "", "`name` of the format: json, msgpack or auth")
			flags.StringVar(&f.compression, "compression", "", "`name` of the compression: zlib, zstd or none")
			flags.StringArrayVar(&f.headers, "header", nil, "custom header, `NAME=text` or NAME:=JSON; can be repeated")
			flags.StringArrayVar(&f.stamps, "stamp", nil, "stamp, `NAME=text` or NAME:=JSON; can be repeated")
			flags.StringVar(&f.shadow, "shadow", "", "`name` to show in logs instead of the task's")
			flags.StringVar(&f.argsRepr, "argsrepr", "", "`text` to show in logs instead of the positional arguments")
			flags.StringVar(&f.kwargsRepr, "kwargsrepr", "", "`text` to show in logs instead of the keyword arguments")
			flags.BoolVar(&f.transient, "transient", false, "the message may be lost when the broker restarts")
			flags.BoolVar(&f.noRetry, "no-retry", false, "fail at once while the broker is away")
			flags.Uint8Var(&f.publishRetries, "publish-retries", 0, "`tries` more while the broker is away, with short pauses (default: for 5 s)")
			f.publishRetriesChanged = func() bool { return flags.Changed("publish-retries") }
		}},
	}
}

func (f *sendFlags) arguments(flags *pflag.FlagSet) {
	flags.StringVarP(&f.args, "args", "a", "", "positional arguments, a `JSON` array")
	flags.StringVarP(&f.kwargs, "kwargs", "k", "", "keyword arguments, a `JSON` object")
}

// destination finds out where the call goes.
func (f *sendFlags) destination(ctx context.Context, app *taskq.App, s task.Signature) (taskq.Destination, error) {
	d, err := app.Destination(ctx, s)
	if err == nil && f.routingKey != "" && d.Address.Exchange == "" {
		err = Exit(Usage, errors.New("--routing-key without --exchange: name the exchange, or use --queue alone; the key has no effect on a direct queue"))
	}
	return d, err
}

// signature makes the call that the flags describe.
func (f *sendFlags) signature(name string, now time.Time) (task.Signature, error) {
	s := task.Signature{Task: name}
	var err error
	if s.Args, err = parseArgs(f.args); err != nil {
		return s, Exit(Usage, fmt.Errorf("--args: %w", err))
	}
	if s.Kwargs, err = parseKwargs(f.kwargs); err != nil {
		return s, Exit(Usage, fmt.Errorf("--kwargs: %w", err))
	}
	if err := f.clashes(); err != nil {
		return s, Exit(Usage, err)
	}
	s = s.With(f.plain()...)
	for _, read := range []func(*task.Signature, time.Time) error{f.times, f.limits, f.followers, f.tables} {
		if err := read(&s, now); err != nil {
			return s, err
		}
	}
	return s, nil
}

// clashes refuses flags that say two things.
func (f *sendFlags) clashes() error {
	for _, c := range []struct {
		a, b   bool
		flags  string
		remedy string
	}{
		{f.queue != "", f.exchange != "", "--queue and --exchange", "a call goes to a queue or to an exchange"},
		{f.countdown != "", f.eta != "", "--countdown and --eta", "give one of them"},
		{f.wait, f.ignoreResult, "--wait and --ignore-result", "there would be no result to wait for"},
		{f.wait, f.replyTo != "", "--wait and --reply-to", "the result would go elsewhere"},
		{f.noRetry, f.publishRetriesChanged(), "--no-retry and --publish-retries", "give one of them"},
	} {
		if c.a && c.b {
			return fmt.Errorf("%s do not go together: %s", c.flags, c.remedy)
		}
	}
	return nil
}

// plain are the options that need no reading.
func (f *sendFlags) plain() []task.SendOption {
	var opts []task.SendOption
	for _, o := range []struct {
		given  bool
		option task.SendOption
	}{
		{f.id != "", task.ID(f.id)},
		{f.queue != "", task.Queue(f.queue)},
		{f.exchange != "", task.Exchange(f.exchange)},
		{f.routingKey != "", task.RoutingKey(f.routingKey)},
		{f.prioritySet(), task.Priority(f.priority)},
		{f.wait, task.KeepResult()},
		{f.ignoreResult, task.IgnoreResult()},
		{f.replyTo != "", task.ReplyTo(f.replyTo)},
		{f.rootID != "", task.RootID(f.rootID)},
		{f.parentID != "", task.ParentID(f.parentID)},
		{f.serializer != "", task.Serializer(f.serializer)},
		{f.compression != "", task.Compression(f.compression)},
		{f.shadow != "", task.Shadow(f.shadow)},
		{f.argsRepr != "", task.ArgsRepr(f.argsRepr)},
		{f.kwargsRepr != "", task.KwargsRepr(f.kwargsRepr)},
		{f.transient, task.Transient()},
		{f.noRetry || f.publishRetriesChanged() && f.publishRetries == 0, task.FailFast()},
		{f.publishRetries > 0, task.PublishRetry(task.PublishPolicy{Max: int(f.publishRetries)})},
	} {
		if o.given {
			opts = append(opts, o.option)
		}
	}
	return opts
}

func (f *sendFlags) times(s *task.Signature, now time.Time) (err error) {
	if s.Countdown, err = seconds("--countdown", f.countdown); err != nil {
		return err
	}
	if f.eta != "" {
		if s.ETA, err = codec.ParseTime(f.eta); err != nil {
			return Exit(Usage, fmt.Errorf("--eta: %w; write it like 2026-11-22T11:13:58Z", err))
		}
	}
	if f.expires != "" {
		at, err := expiry(f.expires, now)
		if err != nil {
			return Exit(Usage, fmt.Errorf("--expires: %q is neither a number of seconds nor a time like 2026-11-22T11:13:58Z", f.expires))
		}
		*s = s.With(task.Expires(at))
	}
	return nil
}

func (f *sendFlags) limits(s *task.Signature, _ time.Time) error {
	for _, l := range []struct {
		flag, text string
		option     func(time.Duration) task.CallOption
	}{{"--time-limit", f.timeLimit, task.TimeLimit}, {"--soft-time-limit", f.softTimeLimit, task.SoftTimeLimit}} {
		d, err := seconds(l.flag, l.text)
		if err != nil {
			return err
		}
		if l.text != "" {
			*s = s.With(l.option(d))
		}
	}
	return nil
}

func (f *sendFlags) followers(s *task.Signature, _ time.Time) error {
	for _, l := range []struct {
		flag   string
		texts  []string
		option func(...task.Signature) task.SendOption
	}{{"--link", f.link, task.Link}, {"--link-error", f.linkError, task.LinkError}} {
		for _, text := range l.texts {
			next, err := parseLink(text)
			if err != nil {
				return Exit(Usage, fmt.Errorf("%s: %w", l.flag, err))
			}
			*s = s.With(l.option(next))
		}
	}
	return nil
}

func (f *sendFlags) tables(s *task.Signature, _ time.Time) error {
	for _, table := range []struct {
		flag   string
		texts  []string
		option func(name string, value any) task.SendOption
	}{
		{"--header", f.headers, func(name string, value any) task.SendOption { return task.Header(name, value) }},
		{"--stamp", f.stamps, task.Stamp},
	} {
		for _, text := range table.texts {
			name, value, err := parsePair(text)
			if err != nil {
				return Exit(Usage, fmt.Errorf("%s: %w", table.flag, err))
			}
			*s = s.With(table.option(name, value))
		}
	}
	return nil
}

// parsePair reads NAME=text or NAME:=JSON.
func parsePair(text string) (string, any, error) {
	name, value, found := strings.Cut(text, "=")
	asJSON := strings.HasSuffix(name, ":")
	name = strings.TrimSuffix(name, ":")
	if !found || name == "" {
		return "", nil, fmt.Errorf("wanted is NAME=text or NAME:=JSON, not %q", cutText(text))
	}
	if !asJSON {
		return name, value, nil
	}
	if value == "" {
		return "", nil, fmt.Errorf("%s: there is no JSON behind :=", name)
	}
	var v any
	if err := parseJSON(value, &v, "value"); err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	v, err := plainNumbers(v)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	return name, v, nil
}

// plainNumbers turns the numbers of a header, which has no use for their digits, into Go's.
func plainNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		n, err := v.Float64()
		if err != nil {
			return nil, errors.New("the number is too large")
		}
		return n, nil
	case []any:
		for i := range v {
			if v[i], err = plainNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = plainNumbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// expiry reads seconds from now, or a time.
func expiry(text string, now time.Time) (time.Time, error) {
	if d, err := config.ParseSeconds(text); err == nil {
		return now.Add(d), nil
	}
	return codec.ParseTime(text)
}

func seconds(flag, text string) (time.Duration, error) {
	d, err := config.ParseSeconds(text)
	if err != nil {
		return 0, Exit(Usage, fmt.Errorf("%s: %w", flag, err))
	}
	return d, nil
}
