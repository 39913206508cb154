package interop_test

import (
	"math/big"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// call is one call of the matrix: a signature in Celery's form, sent as it is from both languages, and what is looked at afterwards.
type call struct {
	Name      string `json:"name"`
	Queue     string `json:"queue"` // of the worker
	Signature dict   `json:"signature,omitempty"`
	// Unheard: nobody stores an outcome.
	Unheard bool `json:"unheard,omitempty"`
	// File is where Notes lines appear, written by tasks whose outcome nobody waits for.
	File  string `json:"file,omitempty"`
	Notes int    `json:"notes,omitempty"`
	// Also are the ids of other tasks whose outcomes are looked at.
	Also     []string `json:"also,omitempty"`
	Progress string   `json:"progress,omitempty"` // the file that ends the task, created once its state was seen
	// Revoke it when it is sent, Terminate it once its progress was seen.
	Revoke    bool `json:"revoke,omitempty"`
	Terminate bool `json:"terminate,omitempty"`
	Children  bool `json:"children,omitempty"`
	Extended  bool `json:"extended,omitempty"`
	Forget    bool `json:"forget,omitempty"`
	// Group saves Members as a group of this id, and restores it.
	Group   string `json:"group,omitempty"`
	Members []dict `json:"members,omitempty"`
}

type dict = map[string]any

// setting is what the calls of one client to one worker are made for.
type setting struct {
	queue string // of the worker that is called
	other string // of the one in the other language
	dir   string
	store string
	kept  bool              // the backend keeps outcomes, where anybody can look them up
	names map[string]string // ids and paths to what they are called in the comparison
}

func (s *setting) id(name string) string {
	id := uuid.NewString()
	s.names[id] = name
	return id
}

func (s *setting) file() string {
	path := filepath.Join(s.dir, uuid.NewString())
	s.names[path] = "FILE"
	return path
}

// sig is a call of the worker under test.
func (s *setting) sig(task string, args []any, options ...dict) dict {
	all := dict{"queue": s.queue}
	for _, o := range options {
		for k, v := range o {
			if all[k] = v; v == nil {
				delete(all, k)
			}
		}
	}
	if args == nil {
		args = []any{}
	}
	return dict{"task": task, "args": args, "kwargs": dict{}, "options": all, "subtask_type": nil, "immutable": false}
}

// note is a call that leaves a line in the file.
func (s *setting) note(path, label string, options ...dict) dict {
	return s.sig("matrix.note", []any{label, path}, options...)
}

func immutable(sig dict) dict {
	sig["immutable"] = true
	return sig
}

// asks reports whether the row makes sense with a store.
func (f feature) asks(store string, kept bool) bool { return (kept || !f.kept) && f.except != store }

// feature is one row of the matrix.
type feature struct {
	section, name string
	// kept rows need a backend that keeps outcomes, where anybody can look them up: rpc does not.
	kept bool
	// except is a store that this cannot be asked of, either.
	except string
	// vague leaves the words of an error out of the comparison: they name what only one language has.
	vague bool
	call  func(s *setting) call
}

func plain(section, name, task string, args []any, kwargs dict, options ...dict) feature {
	return feature{section: section, name: name, call: func(s *setting) call {
		sig := s.sig(task, args, options...)
		if kwargs != nil {
			sig["kwargs"] = kwargs
		}
		return call{Signature: sig}
	}}
}

func vaguely(f feature) feature {
	f.vague = true
	return f
}

func whenKept(f feature) feature {
	f.kept = true
	return f
}

func features() []feature {
	var all []feature
	for _, some := range [][]feature{argumentFeatures(), optionFeatures(), errorFeatures(), revokeFeatures(), linkFeatures(), chainFeatures(), resultFeatures()} {
		all = append(all, some...)
	}
	return all
}

func argumentFeatures() []feature {
	const section = "Arguments"
	return []feature{
		plain(section, "by position", "matrix.add", []any{2, 3}, nil),
		plain(section, "by keyword", "matrix.add", nil, dict{"x": 2, "y": 3}),
		plain(section, "mixed", "matrix.add", []any{2}, dict{"y": 3}),
		plain(section, "none", "matrix.echo", nil, nil),
		plain(section, "every JSON type", "matrix.echo", []any{1, -2.5, "s", nil, true, []any{1, []any{}}, dict{"k": dict{}}}, dict{"k": "v"}),
		plain(section, "Unicode", "matrix.echo", []any{"访问记录 – ünïcode 😀 \u2028"}, dict{"来源": "中国-广东-深圳"}),
		plain(section, "integers beyond 64 bits", "matrix.echo", []any{new(big.Int).Lsh(big.NewInt(1), 100), 1 << 53}, nil),
		plain(section, "300 kB", "matrix.echo", []any{strings.Repeat("0123456789", 30_000)}, nil),
		vaguely(plain(section, "too few", "matrix.add", []any{1}, nil)),
	}
}

func optionFeatures() []feature {
	const section, show = "Options", "matrix.request"
	option := func(name string, options ...dict) feature { return plain(section, name, show, nil, nil, options...) }
	return []feature{
		option("none"),
		option("countdown", dict{"countdown": 0.2}),
		option("eta", dict{"eta": "2020-01-02T03:04:05.000006+00:00"}),
		option("expires, in time", dict{"expires": 60}),
		plain(section, "expires, too late", "matrix.add", []any{1, 2}, nil, dict{"countdown": 0.8, "expires": 0.4}),
		option("priority", dict{"priority": 7}),
		option("serializer msgpack", dict{"serializer": "msgpack"}),
		option("compression gzip (zlib)", dict{"compression": "gzip"}),
		option("compression zstd", dict{"compression": "zstd"}),
		option("headers", dict{"headers": dict{"x-tenant": "acme", "x-number": 7, "x-flag": true}}),
		option("shadow", dict{"shadow": "another.name"}),
		option("time limits", dict{"time_limit": 30, "soft_time_limit": 20.5}),
		option("root and parent ids", dict{"root_id": "the-root", "parent_id": "the-parent"}),
		option("group id and index", dict{"group_id": "the-group", "group_index": 4}),
		option("argsrepr, kwargsrepr", dict{"argsrepr": "(hidden)", "kwargsrepr": "{hidden}"}),
		option("properties of the message", dict{"message_id": "m-1", "type": "a-type", "app_id": "an-app"}),
		option("transient", dict{"delivery_mode": 1}),
		{section: section, name: "countdown to an exchange", call: func(s *setting) call {
			to := dict{"queue": nil, "exchange": "matrix", "routing_key": s.queue + ".late", "countdown": 0.2}
			return call{Signature: s.sig("matrix.add", []any{1, 2}, to)}
		}},
		{section: section, name: "task_id", call: func(s *setting) call {
			return call{Signature: s.sig("matrix.add", []any{1, 2}, dict{"task_id": s.id("CHOSEN")})}
		}},
		{section: section, name: "exchange and routing_key", call: func(s *setting) call {
			return call{Signature: s.sig(show, nil, dict{"queue": nil, "exchange": "matrix", "routing_key": s.queue + ".some.key"})}
		}},
		{section: section, name: "ignore_result", call: func(s *setting) call {
			file := s.file()
			return call{Unheard: true, File: file, Notes: 1, Signature: s.note(file, "ignored", dict{"ignore_result": true})}
		}},
	}
}

func errorFeatures() []feature {
	const section = "Errors and retries"
	return []feature{
		plain(section, "ValueError", "matrix.fail", []any{"ValueError", "boom"}, nil),
		plain(section, "KeyError", "matrix.fail", []any{"KeyError", "k"}, nil),
		plain(section, "several arguments", "matrix.fail", []any{"ZeroDivisionError", "a", 7}, nil),
		plain(section, "a class of the application", "matrix.fail", []any{"Closed", "come back", 9}, nil),
		plain(section, "unknown task", "matrix.nowhere", nil, nil),
		vaguely(plain(section, "result that cannot be encoded", "matrix.unencodable", nil, nil)),
		plain(section, "soft time limit", "matrix.slow", []any{10}, nil, dict{"soft_time_limit": 0.3, "time_limit": 20}),
		vaguely(plain(section, "hard time limit", "matrix.slow", []any{10}, nil, dict{"time_limit": 1})),
		plain(section, "retried, then done", "matrix.retry", []any{2, "ValueError"}, nil),
		plain(section, "retried in vain: the reason", "matrix.retry", []any{9, "KeyError"}, nil),
		vaguely(plain(section, "retried in vain: no reason", "matrix.retry", []any{9}, nil)),
	}
}

func revokeFeatures() []feature {
	const section = "Revokes"
	return []feature{
		{section: section, name: "before it runs", call: func(s *setting) call {
			return call{Revoke: true, Signature: s.sig("matrix.add", []any{1, 2}, dict{"countdown": 3})}
		}},
		vaguely(feature{section: section, name: "while it runs: terminate", call: func(s *setting) call { // Celery says revoked or terminated
			file := s.file()
			return call{Terminate: true, Progress: file, Signature: s.sig("matrix.progress", []any{file})}
		}}),
	}
}

func linkFeatures() []feature {
	const section = "Links"
	linked := func(name string, notes int, build func(s *setting, file string) dict) feature {
		return feature{section: section, name: name, call: func(s *setting) call {
			file := s.file()
			return call{Signature: build(s, file), File: file, Notes: notes}
		}}
	}
	return []feature{
		linked("link", 1, func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"link": []dict{s.note(file, "a")}})
		}),
		linked("link, immutable", 1, func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"link": []dict{immutable(s.note(file, "a"))}})
		}),
		linked("several links", 3, func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"link": []dict{s.note(file, "a"), s.note(file, "b"), immutable(s.note(file, "c"))}})
		}),
		linked("link to the other language", 1, func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"link": []dict{s.note(file, "a", dict{"queue": s.other})}})
		}),
		linked("link with a countdown", 1, func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"link": []dict{s.note(file, "a", dict{"countdown": 0.2})}})
		}),
		linked("link of a link", 1, func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"link": []dict{s.sig("matrix.add", []any{4}, dict{"link": []dict{s.note(file, "a")}})}})
		}),
		linked("link after retries", 1, func(s *setting, file string) dict {
			return s.sig("matrix.retry", []any{2, "ValueError"}, dict{"link": []dict{s.note(file, "a")}})
		}),
		linked("link_error", 1, func(s *setting, file string) dict {
			return s.sig("matrix.fail", []any{"ValueError", "boom"}, dict{"link_error": []dict{s.note(file, "a", dict{"queue": s.other})}, "link": []dict{s.note(file, "never")}})
		}),
		linked("several link_errors", 2, func(s *setting, file string) dict {
			return s.sig("matrix.fail", []any{"KeyError", "k"}, dict{"link_error": []dict{
				s.note(file, "a", dict{"queue": s.other}), s.note(file, "b", dict{"queue": s.other}),
			}})
		}),
		linked("link_error after retries in vain", 1, func(s *setting, file string) dict {
			return s.sig("matrix.retry", []any{9, "KeyError"}, dict{"link_error": []dict{s.note(file, "a", dict{"queue": s.other})}})
		}),
		linked("link, and a link_error that is not needed", 1, func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"link": []dict{s.note(file, "a")}, "link_error": []dict{s.note(file, "never")}})
		}),
	}
}

func chainFeatures() []feature {
	const section = "Chains"
	steps := func(name string, build func(s *setting, file string) dict) feature {
		return feature{section: section, name: name, call: func(s *setting) call {
			file := s.file()
			return call{Signature: build(s, file), File: file, Notes: 1}
		}}
	}
	return []feature{
		steps("the rest of a chain", func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"chain": []dict{s.note(file, "end"), s.sig("matrix.add", []any{4})}}) // the last step first
		}),
		steps("through both languages", func(s *setting, file string) dict {
			return s.sig("matrix.add", []any{2, 3}, dict{"chain": []dict{s.note(file, "end"), s.sig("matrix.add", []any{4}, dict{"queue": s.other})}})
		}),
		{section: section, name: "a step that fails fails the rest", kept: true, call: func(s *setting) call {
			last, middle := s.id("LAST"), s.id("MIDDLE")
			return call{Also: []string{middle, last}, Signature: s.sig("matrix.fail", []any{"ValueError", "boom"}, dict{"chain": []dict{
				s.sig("matrix.add", []any{1}, dict{"task_id": last}), s.sig("matrix.add", []any{4}, dict{"task_id": middle}),
			}})}
		}},
	}
}

func resultFeatures() []feature {
	const section = "Results"
	return []feature{
		{section: section, name: "a state of the task's own", call: func(s *setting) call {
			file := s.file()
			return call{Progress: file, Signature: s.sig("matrix.progress", []any{file})}
		}},
		whenKept(feature{section: section, name: "children", call: func(s *setting) call {
			return call{Children: true, Signature: s.sig("matrix.spawn", []any{s.other, 3})}
		}}),
		whenKept(feature{section: section, name: "extended metadata", except: django, call: func(s *setting) call {
			return call{Extended: true, Signature: s.sig("matrix.add", []any{20, 3})}
		}}),
		whenKept(feature{section: section, name: "forget", call: func(s *setting) call {
			return call{Forget: true, Signature: s.sig("matrix.add", []any{1, 1})}
		}}),
		whenKept(feature{section: section, name: "GroupResult save and restore", call: func(s *setting) call {
			var members []dict
			for i := range 3 {
				members = append(members, s.sig("matrix.add", []any{i, i}))
			}
			return call{Group: s.id("GROUP"), Members: members}
		}}),
	}
}
