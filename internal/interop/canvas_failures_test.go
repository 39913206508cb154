package interop_test

func (r canvasRow) failsWith(text string) canvasRow {
	r.fails = text
	return r
}

// failureRows fail in some of their tasks.
func failureRows() []canvasRow {
	const boomed, chordBoomed = "ValueError: boom", "ChordError: Dependency ID raised ValueError('boom')"
	fails := func(name string, f flow) canvasRow { return row(name, f, nil).failsWith(boomed) }
	chordFails := func(name string, f flow) canvasRow { return row(name, f, nil).failsWith(chordBoomed) }
	inPython := func(f flow) flow { return f.with("queue", pythonQueue) }
	all := []canvasRow{
		fails("errback", boom("boom").catches(caught("a"))).writes([]any{"a"}),
		fails("errbacks", boom("boom").catches(caught("a"), caught("b")).links(note("never"))).writes([]any{"a"}, []any{"b"}),
		fails("errback of the new form", inPython(boom("boom").catches(inPython(call1("cv.caught_here", "a", notesHere))))).
			writes([]any{"a", "ValueError"}),
		fails("a chain as an errback", boom("boom").catches(chainOf(call1("cv.same"), note("a").fixed()))).writes([]any{"a"}),
		fails("errback of a chain", chainOf(add(1), boom("boom"), add(2)).catches(caught("a"))).writes([]any{"a"}),
		fails("errback of a group", groupOf(add(1), boom("boom")).catches(caught("a"))).writes([]any{"a"}),
		fails("group", groupOf(add(1), boom("boom"), add(2))),
		fails("chain, group", chainOf(add(1), groupOf(add(1), boom("boom")))),
		fails("body", chordOf(boom("boom").catches(caught("a")), add(1), add(2))).writes([]any{"a"}),
		fails("step after a body", chainOf(chordOf(total(), add(1), add(2)), boom("boom"), add(1))),
		chordFails("member", chordOf(same(), add(1), boom("boom"), add(2))),
		chordFails("member, errback of the body", chordOf(same().catches(caught("a")), add(1), boom("boom"))).writes([]any{"a"}),
		chordFails("member, errback of the chord", chordOf(same(), add(1), boom("boom")).catches(caught("a"))).writes([]any{"a"}),
		chordFails("members, all of them", chordOf(same(), boom("boom"), boom("boom"))),
		chordFails("member, its own errback", chordOf(same(), add(1), boom("boom").catches(caught("m")))).writes([]any{"m"}),
		chordFails("step of a chain in a header", chordOf(same(), chainOf(add(1), boom("boom"), add(1), add(2)), add(2))),
		chordFails("first step of a chain in a header", chordOf(same(), chainOf(boom("boom"), add(1)), add(2))),
		chordFails("body is a group", chordOf(groupOf(same(), total()), add(1), boom("boom"))),
		chordFails("chord | step", pipe(chordOf(same(), add(1), boom("boom")), add(1))),
	}
	celery := map[string]string{
		"a chain as an errback": "Celery calls celery.chain itself, with the error",
		"body is a group":       "Celery does not fail the members of the body",
		"chord | step":          "Celery does not fail the steps after the body",
	}
	for i := range all {
		all[i].goOnly = celery[all[i].name]
		all[i].name = "failure: " + all[i].name
	}
	return append(all, canvasRow{
		name: "failure: states of a chain", flow: chainOf(add(1), boom("boom"), add(2), add(3)), fails: boomed, line: []string{"SUCCESS", "FAILURE", "FAILURE"},
	})
}

// endRows have a task that ends in other ways than by itself. They come first: a message of Celery's that has expired and waits still is
// deleted by the broker, and nobody hears of it.
func endRows() []canvasRow {
	first, second := newID(), newID()
	return []canvasRow{
		{
			name: "revoked member", flow: chordOf(same().catches(caught("a")), add(1), add(2).with("task_id", first).with("countdown", 1)),
			revoke: []string{first}, fails: dependency + "TaskRevokedError('revoked')", notes: []any{[]any{"a"}},
		},
		{
			name: "revoked step", flow: chainOf(add(1).with("task_id", second).with("countdown", 1), add(2)),
			revoke: []string{second}, fails: "TaskRevokedError: revoked", goOnly: "Celery does not fail the steps that follow",
		},
		{
			name: "expired member", flow: chordOf(same(), add(1), add(2).with("countdown", 3).with("expires", 2)),
			fails: dependency + "TaskRevokedError('expired')",
		},
		{
			name: "unknown member", flow: chordOf(same(), add(1), call1("cv.nothing")), fails: dependency + "NotRegistered('cv.nothing')",
			goOnly: "Celery's worker does not tell the chord",
		},
		{
			name: "time limit", flow: chordOf(same(), add(1), call1("cv.slow", 20).with("time_limit", 1)),
			fails: dependency + "TimeLimitExceeded(1)",
		},
		{
			name: "chord in a header fails", flow: chordOf(same(), chordOf(same(), add(1), boom("boom")), add(2)),
			fails:  dependency + `ChordError("Dependency ID raised ValueError('boom')")`,
			goOnly: "Celery does not tell the outer chord",
		},
		{
			name: "steps after a failed chord", flow: chainOf(chordOf(same(), add(1), boom("boom")), add(1), add(2)),
			fails:  "ChordError: Dependency ID raised ValueError('boom')",
			goOnly: "Celery does not fail the steps after the body",
		},
	}
}
