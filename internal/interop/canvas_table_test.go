package interop_test

// canvasRow is a workflow and what must come of it, wherever its tasks run.
type canvasRow struct {
	name string
	flow flow
	args []any // what the whole is called with
	// want is the value, fails the error; ids in it are written ID.
	want any
	// python is what comes of it in place of want when a client of Celery starts it.
	python any
	fails  string
	line   []string // states of the steps before the last one
	// notes are the lines that tasks write whose results nobody sees. Their path is the label notesHere.
	notes []any
	// revoke are the ids of tasks that are revoked once all is sent.
	revoke []string
	// goOnly: Celery's workers do otherwise, or never end it. The reason.
	goOnly string
	// since is the first version of Celery that has this: {5, 3}.
	since [2]int
}

const notesHere = "NOTES" // stands for a path

func note(args ...any) flow                       { return call1("cv.note", append(args, notesHere)...) }
func caught(label string) flow                    { return call1("cv.caught", label, notesHere) }
func row(name string, f flow, want any) canvasRow { return canvasRow{name: name, flow: f, want: want} }

func (r canvasRow) writes(lines ...any) canvasRow {
	r.notes = lines
	return r
}

// unlike says what Celery's workers do otherwise.
func (r canvasRow) unlike(why string) canvasRow {
	r.goOnly = why
	return r
}

func canvasRows() []canvasRow {
	var all []canvasRow
	for _, some := range [][]canvasRow{
		endRows(), chainRows(), groupRows(), chordRows(), nestedRows(), pipeRows(), linkRows(), optionRows(), replaceRows(), failureRows(),
	} {
		all = append(all, some...)
	}
	return all
}

func chainRows() []canvasRow {
	return []canvasRow{
		row("chain of one", chainOf(add(1, 2)), 3),
		row("chain of two", chainOf(add(1, 2), add(3)), 6),
		row("chain of five", chainOf(add(1, 2), add(3), add(4), add(5), add(6)), 21),
		row("chain in a chain", chainOf(add(1), chainOf(add(2), add(3)), add(4)), 10),
		row("immutable step", chainOf(add(1, 2), add(5, 5).fixed(), add(1)), 11),
		row("keyword arguments in a chain", chainOf(add(1, 2), flow{Task: "cv.echo", Args: []any{"a"}, Kwargs: dict{"k": []any{1}}}),
			[]any{[]any{3, "a"}, dict{"k": []any{1}}}),
		row("empty group in a chain", chainOf(add(1, 2), groupOf(), same()), []any{}),
		{name: "chain with arguments", flow: chainOf(add(1), add(2)), args: []any{10}, want: 13},
		{name: "states of a chain", flow: chainOf(add(1, 2), add(3), add(4)), want: 10, line: []string{"SUCCESS", "SUCCESS"}},
		row("chain that was written out", chainOf(add(1, 2), chainOf(add(3), add(4)), groupOf(add(1), add(2))).written(), []any{11, 12}),
	}
}

func groupRows() []canvasRow {
	return []canvasRow{
		row("group", groupOf(add(1, 1), add(2, 2), add(3, 3)), []any{2, 4, 6}),
		row("group of one", groupOf(add(1, 1)), []any{2}),
		row("empty group", groupOf(), []any{}),
		row("group in a group", groupOf(groupOf(add(1, 1), add(2, 2)), add(3, 3)), []any{2, 4, 6}),
		row("group of chains", groupOf(chainOf(add(1, 1), add(1)), chainOf(add(2, 2), add(1))), []any{3, 5}),
		row("group of chords", groupOf(chordOf(total(), add(1, 1), add(2)), chordOf(total(), add(3), add(4, 4))), []any{4, 11}),
		{name: "group with arguments", flow: groupOf(add(1), add(2)), args: []any{10}, want: []any{11, 12}},
		row("group of chains that end in groups", groupOf(chainOf(add(1), groupOf(add(1), add(2))), add(5)), []any{[]any{2, 3}, 5}),
		row("group of fifty", groupOf(repeat(50, add(1, 1))...), values(50, 2)),
		row("chain, group", chainOf(add(1, 2), groupOf(add(1), add(2))), []any{4, 5}),
	}
}

func chordRows() []canvasRow {
	return []canvasRow{
		row("chord", chordOf(total(), add(1, 1), add(2, 2)), 6),
		row("chord keeps the order", chordOf(same(), add(1), call1("cv.slow", 0.2), add(3), add(4)), []any{1, 0.2, 3, 4}),
		row("chord of one", chordOf(same(), add(1, 1)), []any{2}),
		row("chord of fifty", chordOf(total(), repeat(50, add(1, 1))...), 100),
		row("chord with an empty header", chordOf(same()), []any{}),
		row("chord with an immutable body", chordOf(add(1, 2).fixed(), add(1), add(2)), 3),
		row("chord with arguments of its body", chordOf(call1("cv.echo", "a"), add(1), add(2)), []any{[]any{[]any{1, 2}, "a"}, dict{}}),
		{name: "chord with arguments", flow: chordOf(same(), add(1), add(2)), args: []any{10}, want: []any{11, 12}},
		row("body is a chain", chordOf(chainOf(total(), add(10)), add(1), add(2)), 13),
		row("body is a group", chordOf(groupOf(total(), same()), add(1), add(2)), []any{3, []any{1, 2}}),
		row("body is a chord", chordOf(chordOf(same(), total(), total()), add(1), add(2)), []any{3, 3}),
		row("chain in a header", chordOf(same(), chainOf(add(1, 1), add(2)), add(3, 3)), []any{4, 6}),
		{
			name: "group in a header", flow: chordOf(same(), groupOf(add(1, 1), add(2, 2)), add(3, 3)), want: []any{2, 4, 6},
			python: []any{4, 2, 6},
		}, // Celery's client gives them these places
		row("chord in a header", chordOf(same(), chordOf(total(), add(1), add(2)), add(3, 3)), []any{3, 6}),
		{
			name: "chain in a header that ends in a group", flow: chordOf(same(), chainOf(add(1), groupOf(add(1), add(2))), add(5)),
			want: []any{[]any{2, 3}, 5}, goOnly: "a Celery worker that joins such a header may read null for the task that ended last",
		},
		row("chain in a header that ends in a chord", chordOf(same(), chainOf(add(1), chordOf(total(), add(1), add(2))), add(5)), []any{5, 5}),
		row("chord that was written out", chordOf(total(), add(1), chainOf(add(2), add(3)), chordOf(total(), add(4), add(5))).written(), 15),
	}
}

func nestedRows() []canvasRow {
	deep := chordOf(total(), add(1), chordOf(total(), add(2), chordOf(total(), add(3), chainOf(add(4), add(5)))))
	return []canvasRow{
		row("group, chain", chainOf(groupOf(add(1), add(2)), total(), add(1)), 4),
		row("group of one, chain", chainOf(groupOf(add(1, 2)), same()), 3),
		row("chain, group, chain", chainOf(add(1), groupOf(add(1), add(2)), total(), add(10)), 15),
		row("chain, chord, chain", chainOf(add(1), chordOf(total(), add(1), add(2)), add(10)), 15),
		row("chord, chord", chainOf(chordOf(same(), add(1), add(2)), chordOf(same(), total(), total())), []any{3, 3}),
		row("group, group", chainOf(groupOf(add(1), add(2)), groupOf(total(), same())), []any{3, []any{1, 2}}),
		row("group, group, task", chainOf(groupOf(add(1), add(2)), groupOf(total(), total()), same()), []any{3, 3}),
		row("four chords deep", deep, 15),
		row("chain in a chord in a chain in a group",
			groupOf(chainOf(add(1), chordOf(total(), chainOf(add(1), add(2)), add(3)), add(4)), add(9)), []any{12, 9}),
		row("chords in both", chordOf(chordOf(total(), total(), chainOf(total(), add(1))), chordOf(total(), add(1), add(2)), add(3)), 13),
		row("body of a body", chordOf(chordOf(chordOf(total(), same(), same()), total(), total()), add(1), add(2)), 12),
		row("chords next to each other in a chain in a header",
			chordOf(same(), chainOf(chordOf(total(), add(1), add(2)), chordOf(total(), add(1), add(2))), add(1)), []any{9, 1}),
	}
}

// pipeRows are made by |, which merges what it can.
func pipeRows() []canvasRow {
	return []canvasRow{
		row("task | task", pipe(add(1, 2), add(3)), 6),
		row("task | group", pipe(add(1, 2), groupOf(add(1), add(2))), []any{4, 5}),
		row("task | group | task", pipe(add(1, 2), groupOf(add(1), add(2)), total()), 9),
		row("group | task", pipe(groupOf(add(1), add(2)), total()), 3),
		row("group | task | task", pipe(groupOf(add(1), add(2)), total(), add(3)), 6),
		row("group | group", pipe(groupOf(add(1), add(2)), groupOf(total(), same())), []any{3, []any{1, 2}}),
		row("group | chain", pipe(groupOf(add(1), add(2)), chainOf(total(), add(3))), 6),
		row("chain | chain", pipe(chainOf(add(1), add(2)), chainOf(add(3), add(4))), 10),
		row("chain | group | task | group", pipe(chainOf(add(1), add(2)), groupOf(add(1), add(2)), total(), groupOf(add(1), add(2))), []any{10, 11}),
		row("chord | task", pipe(chordOf(total(), add(1), add(2)), add(3)), 6),
		row("chord | task | group", pipe(chordOf(total(), add(1), add(2)), add(3), groupOf(add(1), add(2))), []any{7, 8}),
		row("chord | chord", pipe(chordOf(same(), add(1), add(2)), chordOf(same(), total(), total())), []any{3, 3}),
		row("task | chord", pipe(add(1), chordOf(total(), add(1), add(2))), 5),
	}
}

func linkRows() []canvasRow {
	return []canvasRow{
		row("link", add(1, 2).links(note("a")), 3).writes([]any{3, "a"}),
		row("links", add(1, 2).links(note("a"), note("b"), note("c").fixed()), 3).writes([]any{3, "a"}, []any{3, "b"}, []any{"c"}),
		row("link of a chain", chainOf(add(1), add(2)).links(note("a")), 3).writes([]any{3, "a"}),
		row("links of steps", chainOf(add(1).links(note("a")), add(2).links(note("b"))), 3).writes([]any{1, "a"}, []any{3, "b"}),
		row("link of a chord", chordOf(total(), add(1), add(2)).links(note("a")), 3).writes([]any{3, "a"}),
		row("links of a body and of members", chordOf(total().links(note("b")), add(1).links(note("m")), add(2)), 3).
			writes([]any{1, "m"}, []any{3, "b"}),
		row("links of members of a group", groupOf(add(1).links(note("a")), add(2).links(note("b"))), []any{1, 2}).
			writes([]any{1, "a"}, []any{2, "b"}),
		row("a chain as a link", add(1).links(chainOf(add(2), note("a"))), 1).writes([]any{3, "a"}),
		row("a group as a link", add(1).links(groupOf(note("a"), note("b"))), 1).writes([]any{1, "a"}, []any{1, "b"}),
		row("a chord as a link", add(1).links(chordOf(note("a"), add(1), add(2))), 1).writes([]any{[]any{2, 3}, "a"}),
		row("a link that is followed", add(1).links(add(2).links(note("a"))), 1).writes([]any{3, "a"}),
		row("errbacks that nothing calls", chordOf(total().catches(caught("b")), add(1).catches(caught("m")), add(2)).links(note("a")), 3).
			writes([]any{3, "a"}),
	}
}

func optionRows() []canvasRow {
	return []canvasRow{
		row("retry in a chain", chainOf(add(1, 2), call1("cv.retry", 2), add(1)), 4),
		row("retry in a header", chordOf(same(), call1("cv.retry", "a", 2), add(1)), []any{"a", 1}),
		row("retry of a body", chordOf(call1("cv.retry", 2), add(1), add(2)), []any{1, 2}),
		row("priorities", chordOf(same(), call1("cv.priority").with("priority", 3), call1("cv.priority").with("priority", 7)), []any{3, 7}),
		row("expires, in time", chordOf(total().with("expires", 60), add(1).with("expires", 60), add(2)), 3),
		row("countdown", chordOf(total().with("countdown", 0.2), add(1).with("countdown", 0.3), add(2)), 3),
		row("countdown in a chain", chainOf(add(1), add(2).with("countdown", 0.2), add(3)), 6),
		row("a member whose result is not kept", chordOf(same(), add(1).with("ignore_result", true), add(2)), []any{1, 2}),
		row("a step whose result is not kept", chainOf(add(1).with("ignore_result", true), add(2)), 3),
		row("ids in a header", chordOf(same(), call1("cv.ids"), call1("cv.ids")),
			[]any{[]any{true, false, true, 0}, []any{true, false, true, 1}}),
		row("ids in a chain", chainOf(add(1), call1("cv.ids")), []any{true, true, false, nil}),
		row("map", spread("map", "cv.total", []any{1, 2}, []any{3, 4}), []any{3, 7}),
		row("starmap", spread("starmap", "cv.add", []any{1, 2}, []any{3, 4}), []any{3, 7}),
		row("map in a header", chordOf(same(), spread("map", "cv.total", []any{1, 2}), add(1)), []any{[]any{3}, 1}),
		{
			name: "stamps", flow: chordOf(same(), stamped(call1("cv.stamp")), chainOf(add(1), stamped(call1("cv.stamp"))), call1("cv.stamp")),
			want: []any{dict{"tenant": "acme"}, dict{"tenant": "acme"}, dict{}}, since: [2]int{5, 3},
		},
		{name: "stamps of a body", flow: chordOf(stamped(call1("cv.stamp")), add(1), add(2)), want: dict{"tenant": "acme"}, since: [2]int{5, 3}},
		row("starmap in a chain", chainOf(add(1).fixed(), spread("starmap", "cv.add", []any{1, 2}, []any{3, 4}), total()), 10),
	}
}

// replaceRows have tasks that let others run in their place, or more with them.
func replaceRows() []canvasRow {
	in := func(f flow) flow { return call1("cv.replace", argument(f)) }
	return []canvasRow{
		row("replaced by a task", in(add(1, 2)), 3),
		row("replaced by a chain", in(chainOf(add(1), add(2))), 3),
		row("replaced by a group", in(groupOf(add(1), add(2))), []any{1, 2}),
		row("replaced by a chord", in(chordOf(total(), add(1), add(2))), 3),
		row("replaced by what is replaced", in(in(add(1, 2))), 3),
		row("replaced, and linked", in(chainOf(add(1), add(2))).links(note("a")), 3).writes([]any{3, "a"}).unlike("Celery calls the link twice"),
		row("replaced in a chain", chainOf(add(1), in(chainOf(add(1), add(2))), add(3)), 6),
		row("replaced in a chain by a chord", chainOf(add(1), in(chordOf(total(), add(1), add(2))), add(3)), 6),
		row("replaced in a group", groupOf(in(add(1)), in(chainOf(add(1), add(2)))), []any{1, 3}),
		row("replaced in a header", chordOf(same(), in(chainOf(add(1), add(2))), add(3)), []any{3, 3}),
		row("replaced in a header by a chord", chordOf(same(), in(chordOf(total(), add(1), add(2))), add(3)), []any{3, 3}),
		row("replaced in a header by a group", chordOf(same(), in(groupOf(add(1), add(2))), add(3)), []any{[]any{1, 2}, 3}).
			unlike("Celery does not keep the order of the group"),
		row("replaced body", chordOf(in(chainOf(add(1), add(2))), add(1), add(2)), 3),
		row("body replaced by a group", chordOf(in(groupOf(add(1), add(2))), add(1), add(2)), []any{1, 2}).
			unlike("Celery does not keep the order of the group"),
		row("body replaced by a chord", chordOf(in(chordOf(in(chordOf(total(), add(1), add(2))), add(1), add(2))), add(1), add(2)), 3),
		row("replaced by what fails", chordOf(same(), in(chainOf(add(1), boom("boom"))), add(3)), nil).
			failsWith("ChordError: Dependency ID raised ValueError('boom')"),
		row("added to a chord", chordOf(total(), call1("cv.grow", 5, argument(add(7))), add(1)), 13), // Celery has no order for it
	}
}

func stamped(f flow) flow {
	f.Stamps = dict{"tenant": "acme"}
	return f
}

func repeat(n int, f flow) []flow {
	list := make([]flow, n)
	for i := range list {
		list[i] = f
	}
	return list
}

func values(n int, v any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = v
	}
	return list
}
