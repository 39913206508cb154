package canvas

import (
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

func TestWorkflowsPrintAsInCelery(t *testing.T) {
	t.Parallel()
	for name, s := range workflows() {
		want := lists(captured(t, "workflows", "main")[name].Repr)
		switch _, differs := better()[name]; {
		case differs || strings.Contains(want, "@0x"): // it prints an address
			continue
		case name == "chain of map": // copies of maps are plain calls to Celery
			want = strings.Replace(want, "celery.map(task=add(), it=[1, 2])", "[add(x) for x in [1, 2]]", 1)
		case name == "chunks":
			want = strings.Replace(want, "task=tasks.add(), it=[[1, 1], [2, 2], [3, 3]], n=2", "it=[[1, 1], [2, 2], [3, 3]], n=2, task=tasks.add()", 1)
		}
		if got := Repr(s); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", name, got, want)
		}
	}
}

// lists writes the tuples of a Python text as lists.
func lists(text string) string {
	out := []byte(text)
	var starts []int
	for i, c := range out {
		switch c {
		case '(':
			starts = append(starts, i)
		case ')':
			start := starts[len(starts)-1]
			starts = starts[:len(starts)-1]
			if before := text[start-1]; before == '(' || before == '=' {
				out[start], out[i] = '[', ']'
			}
		}
	}
	return string(out)
}

func TestReprHidesWhatIsHidden(t *testing.T) {
	t.Parallel()
	s := add("secret", 1).WithKwargs(map[string]any{"key": "secret"}).With(task.ArgsRepr("('…', 1)"), task.KwargsRepr("{'key': '…'}"))
	if got, want := Repr(Chain(s, add().With(task.ArgsRepr("()")))), "tasks.add('…', 1, **{'key': '…'}) | add()"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReprReadsWhatCameInAMessage(t *testing.T) {
	t.Parallel()
	for name, s := range workflows() {
		raw, err := wire.EncodeSignature(s, codec.JSON{})
		if err != nil {
			t.Fatal(err)
		}
		read, err := wire.DecodeSignature(raw, codec.JSON{})
		if err != nil {
			t.Fatal(err)
		}
		if name == "chunks" { // a call among the arguments of a plain one is not known as such
			continue
		}
		if got, want := Repr(read), Repr(s); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	raw, err := codec.Msgpack{}.Marshal("text")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := Repr(add(codec.Raw(raw))), "tasks.add(...)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
