package interop_test

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"
)

// flow is a workflow as both clients build it, each with its language's own means: testdata/canvas_client.py and canvas_client_test.go.
type flow struct {
	Op   string `json:"op,omitempty"` // "" is a call, pipe is what | makes; chain, group, chord, map, starmap, chunks
	Task string `json:"task,omitempty"`
	// Args of a call; a flow among them, as {"flow": …}, goes along as a signature. Those of a map are its items.
	Args      []any  `json:"args,omitempty"`
	Kwargs    dict   `json:"kwargs,omitempty"`
	Immutable bool   `json:"immutable,omitempty"`
	Options   dict   `json:"options,omitempty"` // under Celery's names
	Link      []flow `json:"link,omitempty"`
	LinkError []flow `json:"link_error,omitempty"`
	Parts     []flow `json:"parts,omitempty"` // steps, members, header
	Body      *flow  `json:"body,omitempty"`
	Size      int    `json:"size,omitempty"` // of a chunk
	Stamps    dict   `json:"stamps,omitempty"`
	// Serialized has the client write it out and read it again.
	Serialized bool `json:"serialized,omitempty"`
}

func call1(task string, args ...any) flow       { return flow{Task: task, Args: args} }
func add(numbers ...any) flow                   { return call1("cv.add", numbers...) }
func same(args ...any) flow                     { return call1("cv.same", args...) }
func total() flow                               { return call1("cv.total") }
func boom(text string) flow                     { return call1("cv.fail", text) }
func chainOf(steps ...flow) flow                { return flow{Op: "chain", Parts: steps} }
func groupOf(members ...flow) flow              { return flow{Op: "group", Parts: members} }
func pipe(parts ...flow) flow                   { return flow{Op: "pipe", Parts: parts} }
func chordOf(body flow, header ...flow) flow    { return flow{Op: "chord", Parts: header, Body: &body} }
func spread(op, task string, items ...any) flow { return flow{Op: op, Task: task, Args: items} }

func (f flow) with(name string, value any) flow {
	f.Options = maps.Clone(f.Options)
	if f.Options == nil {
		f.Options = dict{}
	}
	f.Options[name] = value
	return f
}

func (f flow) fixed() flow {
	f.Immutable = true
	return f
}

func (f flow) links(links ...flow) flow {
	f.Link = append(slices.Clip(f.Link), links...)
	return f
}

func (f flow) catches(errbacks ...flow) flow {
	f.LinkError = append(slices.Clip(f.LinkError), errbacks...)
	return f
}

func (f flow) written() flow {
	f.Serialized = true
	return f
}

// argument is a flow that a task gets as a signature.
func argument(f flow) any { return map[string]any{"flow": f} }

// crew says where the tasks of a flow run.
type crew func() string

func allIn(queue string) crew { return func() string { return queue } }

// mixed goes back and forth between the languages, by chance but for the first two.
func mixed(seed uint64) crew {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same ones each time
	n := seed
	return func() string {
		n++
		if n > seed+2 {
			n = r.Uint64()
		}
		return []string{goQueue, pythonQueue}[n%2]
	}
}

// route gives each task of the flow a queue, unless it has one.
func (f flow) route(next crew) flow {
	if f.Op != "chain" && f.Op != "group" && f.Op != "chord" && f.Op != "pipe" && f.Options["queue"] == nil {
		f = f.with("queue", next())
	}
	f.Parts, f.Link, f.LinkError = routeAll(f.Parts, next), routeAll(f.Link, next), routeAll(f.LinkError, next)
	if f.Body != nil {
		body := f.Body.route(next)
		f.Body = &body
	}
	args := make([]any, len(f.Args))
	for i, a := range f.Args {
		args[i] = a
		if inner, ok := a.(map[string]any); ok {
			if part, ok := inner["flow"].(flow); ok {
				args[i] = argument(part.route(next))
			}
		}
	}
	f.Args = args
	return f
}

func routeAll(list []flow, next crew) []flow {
	routed := make([]flow, len(list))
	for i, f := range list {
		routed[i] = f.route(next)
	}
	return routed
}

// counted reports whether there is a chord in the flow, or what becomes one.
func (f flow) counted() bool {
	groups := slices.IndexFunc(f.Parts, func(p flow) bool { return p.Op == "group" })
	if f.Op == "chord" || f.Op == "chain" && groups >= 0 && groups < len(f.Parts)-1 {
		return true
	}
	return slices.ContainsFunc(slices.Concat(f.Parts, f.Link, f.LinkError), flow.counted)
}

// run is one workflow that is started, and what is looked at afterwards.
type run struct {
	Name   string   `json:"name"`
	Flow   flow     `json:"flow"`
	Args   []any    `json:"args,omitempty"` // what the whole is called with
	Revoke []string `json:"revoke,omitempty"`
	// Line: the states of the steps before the last one are looked at.
	Line bool `json:"line,omitempty"`
	// File is where Notes lines appear.
	File  string `json:"file,omitempty"`
	Notes int    `json:"notes,omitempty"`
}

func newID() string { return uuid.NewString() }
