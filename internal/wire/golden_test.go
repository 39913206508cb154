package wire_test

import (
	"maps"
	"math"
	"math/big"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// golden is a call that Celery was recorded with, as a Go program makes it.
type golden struct {
	call func(c *captured) task.Signature
	// but says which headers cannot be equal, and why. They are left out of the comparison.
	but map[string]string
}

// captured is what a recorded message holds that a call cannot know: ids.
type captured struct {
	*fixture
	version string
	body    []any
}

// step returns the id of a step of the chain; the recording has the last step first.
func (c *captured) step(next int) string {
	chain := c.body[2].(map[string]any)["chain"].([]any)
	step := chain[len(chain)-1-next].(map[string]any)
	return step["options"].(map[string]any)["task_id"].(string)
}

// group is the group of the message and its index there, which 5.2.6 does not send.
func (c *captured) group(t *testing.T, index int) (string, int) {
	t.Helper()
	if c.version == "5.2.6" {
		index = -1
	}
	id, _ := table(t, c.Typed)["group"].(string)
	return id, index
}

// rawArgs are the arguments as they were recorded, for values that Go does not write as Python does.
func (c *captured) rawArgs(t *testing.T) []any {
	t.Helper()
	var args []any
	for _, raw := range rawBody(t, c.fixture).args {
		args = append(args, raw)
	}
	return args
}

func (c *captured) rawKwargs(t *testing.T) map[string]any {
	t.Helper()
	kwargs := map[string]any{}
	for name, raw := range rawBody(t, c.fixture).kwargs {
		kwargs[name] = raw
	}
	return kwargs
}

type bodyParts struct {
	args   []codec.Raw
	kwargs map[string]codec.Raw
}

func rawBody(t *testing.T, f *fixture) (parts bodyParts) {
	t.Helper()
	var body []codec.Raw
	for _, err := range []error{
		codec.JSON{}.Unmarshal([]byte(f.body()), &body), codec.JSON{}.Unmarshal(body[0], &parts.args),
		codec.JSON{}.Unmarshal(body[1], &parts.kwargs),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return parts
}

// TestEncodesWhatCeleryPublishes compares whole messages of three versions: exchange and routing key, each property, each header with
// its type, and the body. What taskq always does otherwise is in asOurs.
func TestEncodesWhatCeleryPublishes(t *testing.T) {
	t.Parallel()
	calls := map[string]golden{}
	for _, part := range []map[string]golden{goldenOptions(t), goldenValues(t), goldenFollowers(t), goldenGroups(t), goldenStamps()} {
		maps.Copy(calls, part)
	}
	for name, g := range calls {
		for _, version := range []string{"5.2.6", "5.6.2", "main"} {
			if version == "5.2.6" && unknownTo526(name) {
				continue
			}
			t.Run(version+"/"+name, func(t *testing.T) {
				t.Parallel()
				compareGolden(t, g, &captured{fixture: load(t, path.Join("tasks", version, name+".json")), version: version})
			})
		}
	}
}

// unknownTo526 are the scenarios that Celery 5.2 cannot send.
func unknownTo526(name string) bool {
	return slices.Contains([]string{"json_bytes", "stamped", "stamped_link", "stamped_opts", "stamped_chain"}, name)
}

func compareGolden(t *testing.T, g golden, c *captured) {
	t.Helper()
	want := asOurs(t, c.fixture)
	c.body = plainJSON[[]any](t, c.fixture.body())
	sig := g.call(c)
	sig.ID, sig.ReplyTo = want.CorrelationID, want.ReplyTo
	if sig.Queue == "" {
		sig.Queue = "celery" // the application's default queue
	}
	out := wire.Outgoing{Signature: sig, Now: sentAt(t, c.fixture), Origin: want.Headers["origin"].(string)}
	got, err := wire.Encode(out)
	if err != nil {
		t.Fatal(err)
	}
	for name := range g.but {
		if cmp.Equal(want.Headers[name], got.Headers[name]) {
			t.Errorf("%s is equal: it need not be left out", name)
		}
		delete(want.Headers, name)
		delete(got.Headers, name)
	}
	compareMessages(t, want, got)
	if to, from := out.Address(), (broker.Address{Exchange: c.Exchange, RoutingKey: c.RoutingKey}); to != from {
		t.Errorf("address = %+v, want %+v", to, from)
	}
}

// add is the call of h2.add(2, 3) with options.
func add(options task.CallOptions) golden {
	return golden{call: func(*captured) task.Signature {
		return task.Signature{Task: "h2.add", Args: []any{2, 3}, CallOptions: options}
	}}
}

func goldenOptions(t *testing.T) map[string]golden {
	t.Helper()
	return map[string]golden{
		"plain":         add(task.CallOptions{}),
		"priority":      add(task.CallOptions{Priority: 7}),
		"ignore_result": add(task.CallOptions{IgnoreResult: true}),
		"ignore_result_task": {call: func(*captured) task.Signature {
			return task.Signature{Task: "h2.ignored_result", Args: []any{5}, CallOptions: task.CallOptions{IgnoreResult: true}}
		}},
		"time_limits":      add(task.CallOptions{TimeLimit: 30 * time.Second, SoftTimeLimit: 20 * time.Second}),
		"shadow":           add(task.CallOptions{Shadow: "h2.shadowed"}),
		"task_id_custom":   add(task.CallOptions{}),
		"transient":        add(task.CallOptions{Transient: true}),
		"queue_other":      add(task.CallOptions{Queue: "h2_other"}),
		"worker_direct":    add(task.CallOptions{Queue: "w9@h2host.dq2"}),
		"exchange_rkey":    add(task.CallOptions{Exchange: "h2_ex", RoutingKey: "a.b"}),
		"broadcast_queue":  add(task.CallOptions{Exchange: "h2_bcast", RoutingKey: "celery"}),
		"eta":              add(task.CallOptions{ETA: time.Date(2035, 5, 6, 7, 8, 9, 123456789, time.UTC)}),
		"eta_naive":        add(task.CallOptions{ETA: time.Date(2035, 5, 6, 7, 8, 9, 0, time.UTC)}),
		"eta_tz8":          add(task.CallOptions{ETA: time.Date(2035, 5, 6, 7, 8, 9, 0, time.FixedZone("", 8*3600))}),
		"countdown":        add(task.CallOptions{Countdown: time.Hour}),
		"expires_seconds":  add(task.CallOptions{ExpiresIn: 3600500 * time.Millisecond}),
		"expires_datetime": add(task.CallOptions{Expires: time.Date(2035, 5, 6, 7, 8, 9, 123456000, time.UTC)}),
		"expires_past":     add(task.CallOptions{Expires: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)}), // see fixture.message for its expiration
		"immutable_sig":    add(task.CallOptions{}),
		"sig_options": {call: func(c *captured) task.Signature {
			eta := at(t, table(t, c.Typed)["eta"].(string))
			return task.Signature{Task: "h2.add", Args: []any{2, 3}, CallOptions: task.CallOptions{Queue: "h2_other", Priority: 3, ETA: eta}}
		}},
		"custom_props": add(task.CallOptions{Transient: true, Properties: task.Properties{
			MessageID: "mid-1", Type: "mytype", AppID: "myapp", Timestamp: time.Unix(1700000000, 0).UTC(),
		}}),
		"custom_headers": add(task.CallOptions{Headers: map[string]any{
			"x-tenant": "acme", "n": 5, "big": 1 << 40, "f": 1.5, "neg": -5, "dt": time.Unix(1704164645, 0).UTC(),
			"nested": map[string]any{"a": []any{1, nil, true}},
		}}),
		"beat_periodic": {
			call: func(*captured) task.Signature {
				return task.Signature{Task: "h2.add", Args: []any{1, 2}, CallOptions: task.CallOptions{ExpiresIn: 30 * time.Second}}
			},
			but: map[string]string{"argsrepr": "Python shows the list that the caller had in place of a tuple"},
		},
		"send_task_unregistered": {
			call: func(*captured) task.Signature {
				return task.Signature{Task: "not.registered.here", Args: []any{1}, Kwargs: map[string]any{"a": 2}}
			},
			but: map[string]string{"argsrepr": "Python shows the list that the caller had in place of a tuple"},
		},
	}
}

// accessRecord is the argument of the task access_record.
type accessRecord struct {
	Path    string    `json:"path"`
	Query   string    `json:"query_str"`
	Address string    `json:"address"`
	Agent   string    `json:"user_agent"`
	Referer string    `json:"referer"`
	Time    time.Time `json:"atime"`
	Source  string    `json:"source"`
}

func goldenValues(t *testing.T) map[string]golden {
	t.Helper()
	echo := func(args ...any) func(*captured) task.Signature {
		return func(*captured) task.Signature { return task.Signature{Task: "h2.echo", Args: args} }
	}
	recorded := func(c *captured) task.Signature {
		return task.Signature{Task: "h2.echo", Args: c.rawArgs(t), Kwargs: c.rawKwargs(t)}
	}
	tenTo30 := new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)
	return map[string]golden{
		"args_kwargs": {call: func(*captured) task.Signature {
			return task.Signature{
				Task: "h2.echo", Args: []any{1, "two", 3.5, nil, true, []any{1, 2}, map[string]any{"k": "v"}},
				Kwargs: map[string]any{"kw": "x", "n": 7},
			}
		}},
		"kwargs_only": {call: func(*captured) task.Signature {
			return task.Signature{Task: "h2.add", Kwargs: map[string]any{"x": 1, "y": 2}}
		}},
		"noargs": {call: func(*captured) task.Signature { return task.Signature{Task: "h2.none"} }},
		"unicode": {call: func(*captured) task.Signature {
			return task.Signature{Task: "h2.echo", Args: []any{"日本語 – ünïcode 😀"}, Kwargs: map[string]any{"key": "中国"}}
		}},
		"json_nan": {call: echo(math.NaN(), math.Inf(1), 1e300, tenTo30)},
		"json_set_tuple": {
			call: echo([]any{1, 2}),
			but:  map[string]string{"argsrepr": "Python shows a tuple, which JSON does not have"},
		},
		"json_types": {call: recorded, but: map[string]string{
			"argsrepr":   "Python shows naive times, dates, Decimal and UUID; in JSON they are text, and in Go times have a zone",
			"kwargsrepr": "likewise",
		}},
		"json_bytes":     {call: recorded},
		"long_args_repr": {call: recorded},
		"access_record": {
			call: func(*captured) task.Signature {
				return task.Signature{Task: "access_record", Args: []any{accessRecord{
					"/api/articles/1/", "page=2&sort=-date", "203.0.113.7", "Mozilla/5.0 (X11; Linux x86_64)", "https://example.com/",
					time.Date(2021, 7, 3, 12, 34, 56, 789012000, time.UTC), "中国-广东-深圳",
				}}}
			},
			but: map[string]string{"argsrepr": "Python shows a naive time, and in Go times have a zone"},
		},
		"access_record_kwargs": {call: func(*captured) task.Signature {
			return task.Signature{Task: "access_record", Kwargs: map[string]any{"data": accessRecord{
				"/", "", "127.0.0.1", "curl/7.88", "", time.Date(2021, 7, 3, 12, 34, 56, 0, time.UTC), "内网IP",
			}}}
		}},
		"map": {
			call: func(c *captured) task.Signature {
				return task.Signature{Task: "celery.starmap", Kwargs: c.rawKwargs(t)}
			},
			but: map[string]string{"kwargsrepr": "Python shows tuples, which JSON does not have"},
		},
	}
}

// sig is a call of one argument that follows another.
func sig(name string, arg any, options task.CallOptions) task.Signature {
	return task.Signature{Task: name, Args: []any{arg}, CallOptions: options}
}

func goldenFollowers(t *testing.T) map[string]golden {
	t.Helper()
	failed := func(name string) task.CallOptions {
		return task.CallOptions{LinkError: []task.Signature{{Task: name}}}
	}
	// chain is add(1, 2) and what follows it; each step has its id and the caller's reply queue.
	chain := func(first task.CallOptions, steps ...task.Signature) golden {
		return golden{call: func(c *captured) task.Signature {
			s := task.Signature{Task: "h2.add", Args: []any{1, 2}, CallOptions: first}
			for i, step := range steps {
				step.ID, step.ReplyTo = c.step(i), c.Properties.ReplyTo
				s.Chain = append(s.Chain, step)
			}
			return s
		}}
	}
	none := task.CallOptions{}
	return map[string]golden{
		"link": add(task.CallOptions{Link: []task.Signature{sig("h2.mul", 10, none)}}),
		"link_many": add(task.CallOptions{Link: []task.Signature{
			sig("h2.mul", 10, none), {Task: "h2.echo", Args: []any{"imm"}, Immutable: true},
		}}),
		"link_error":       add(failed("h2.on_err_old")),
		"link_error_new":   add(failed("h2.on_err_new")),
		"chain3":           chain(none, sig("h2.mul", 3, none), sig("h2.add", 4, none)),
		"chain_link":       chain(none, sig("h2.mul", 3, task.CallOptions{Link: []task.Signature{sig("h2.echo", "linked", none)}})),
		"chain_link_error": chain(failed("h2.on_err_old"), sig("h2.mul", 3, failed("h2.on_err_old"))),
		"chain_of_group_mid": {call: func(c *captured) task.Signature {
			parts := c.body[2].(map[string]any)["chain"].([]any)[0].(map[string]any)["kwargs"].(map[string]any)["tasks"].([]any)
			group := task.Signature{Task: "celery.group", Type: "group", CallOptions: task.CallOptions{ID: c.step(0)}}
			for i, name := range []string{"h2.add", "h2.mul"} {
				member := sig(name, 10, task.CallOptions{})
				member.ID, member.ReplyTo = parts[i].(map[string]any)["options"].(map[string]any)["task_id"].(string), c.Properties.ReplyTo
				group.Tasks = append(group.Tasks, member.With(task.GroupIndex(i)))
			}
			return task.Signature{Task: "h2.add", Args: []any{1, 1}, CallOptions: task.CallOptions{Chain: []task.Signature{group}}}
		}},
	}
}

func goldenGroups(t *testing.T) map[string]golden {
	t.Helper()
	member := func(index int, name string, args ...any) golden {
		return golden{call: func(c *captured) task.Signature {
			s := task.Signature{Task: name, Args: args}
			s.GroupID, s.GroupIndex = c.group(t, index)
			return s
		}}
	}
	chunk := func(index int) golden {
		return golden{
			call: func(c *captured) task.Signature {
				s := task.Signature{Task: "celery.starmap", Kwargs: c.rawKwargs(t)}
				s.GroupID, s.GroupIndex = c.group(t, index)
				return s
			},
			but: map[string]string{"kwargsrepr": "Python shows tuples, which JSON does not have"},
		}
	}
	return map[string]golden{
		"group3": member(0, "h2.add", 0, 0), "group3-2": member(1, "h2.add", 1, 1), "group3-3": member(2, "h2.add", 2, 2),
		"chunks": chunk(0), "chunks-2": chunk(1),
		"nested_chain_in_group-2": member(1, "h2.add", 5, 5),
		"nested_chain_in_group": {call: func(c *captured) task.Signature {
			last := task.CallOptions{ID: c.step(0), ReplyTo: c.Properties.ReplyTo}
			options := c.body[2].(map[string]any)["chain"].([]any)[0].(map[string]any)["options"].(map[string]any)
			last.GroupID = options["group_id"].(string)
			if c.version == "5.2.6" {
				last.GroupIndex = -1
			}
			return task.Signature{Task: "h2.add", Args: []any{1, 1}, CallOptions: task.CallOptions{Chain: []task.Signature{sig("h2.mul", 2, last)}}}
		}},
	}
}

func goldenStamps() map[string]golden {
	stamped := func(name string, value any) task.CallOptions {
		return task.CallOptions{StampedHeaders: []string{name}, Stamps: map[string]any{name: value}}
	}
	linked := stamped("header", "value")
	linked.Link = []task.Signature{sig("h2.mul", 2, stamped("header", "value"))}
	return map[string]golden{
		"stamped": {call: func(c *captured) task.Signature {
			options := task.CallOptions{Stamps: map[string]any{"trace": []any{"t1", "t2"}, "tenant": "acme"}}
			for _, name := range c.Headers["stamped_headers"].([]any) { // a Python set
				options.StampedHeaders = append(options.StampedHeaders, name.(string))
			}
			return task.Signature{Task: "h2.add", Args: []any{2, 3}, CallOptions: options}
		}},
		"stamped_link": add(linked),
		"stamped_opts": add(stamped("monitoring_id", "m-1")),
		"stamped_chain": {call: func(c *captured) task.Signature {
			first, step := stamped("mtask_id", "stamp-1"), stamped("mtask_id", "stamp-1")
			step.ID, step.ReplyTo = c.step(0), c.Properties.ReplyTo
			first.Chain = []task.Signature{sig("h2.mul", 3, step)}
			return task.Signature{Task: "h2.add", Args: []any{1, 2}, CallOptions: first}
		}},
	}
}
