package task_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

type order struct {
	Item  string   `task:"item"`
	Count int      `task:"count"`
	Note  string   `task:"note,optional"`
	Tags  []string `task:"tags,keyword,optional"`
	Skip  string   `task:"-"`
}

func raws(texts ...string) []codec.Raw {
	var out []codec.Raw
	for _, s := range texts {
		out = append(out, codec.Raw(s))
	}
	return out
}

func TestCallsByPositionAndKeyword(t *testing.T) {
	t.Parallel()
	want := order{Item: "tea", Count: 2, Note: "hot", Tags: []string{"a", "b"}}
	for name, args := range map[string]task.Arguments{
		"by position, keyword-only by name": {
			Args: raws(`"tea"`, `2`, `"hot"`), Kwargs: map[string]codec.Raw{"tags": codec.Raw(`["a","b"]`)},
		},
		"by keyword": {Kwargs: map[string]codec.Raw{
			"item": codec.Raw(`"tea"`), "count": codec.Raw(`2`), "note": codec.Raw(`"hot"`), "tags": codec.Raw(`["a","b"]`),
		}},
		"mixed": {Args: raws(`"tea"`), Kwargs: map[string]codec.Raw{
			"count": codec.Raw(`2`), "note": codec.Raw(`"hot"`), "tags": codec.Raw(`["a","b"]`),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got order
			if err := args.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOptionalParametersMayBeMissing(t *testing.T) {
	t.Parallel()
	var got order
	if err := (task.Arguments{Args: raws(`"tea"`, `1`)}).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Item != "tea" || got.Count != 1 || got.Note != "" || got.Tags != nil {
		t.Errorf("got %+v", got)
	}
}

// The texts are those that CPython 3.11 printed for def order(item, count, note="", *, tags=()).
func TestMismatchesReadLikePythons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args task.Arguments
		want string
	}{
		{"one missing", task.Arguments{Args: raws(`"tea"`)}, "task() missing 1 required positional argument: 'count'"},
		{"two missing", task.Arguments{}, "task() missing 2 required positional arguments: 'item' and 'count'"},
		{"too many", task.Arguments{Args: raws(`1`, `2`, `3`, `4`)}, "task() takes from 2 to 3 positional arguments but 4 were given"},
		{"unknown keyword", task.Arguments{Args: raws(`"a"`, `2`), Kwargs: map[string]codec.Raw{"nope": codec.Raw(`1`)}}, "task() got an unexpected keyword argument 'nope'"},
		{"given twice", task.Arguments{Args: raws(`"a"`, `2`), Kwargs: map[string]codec.Raw{"item": codec.Raw(`1`)}}, "task() got multiple values for argument 'item'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.args.Decode(new(order))
			mismatch, ok := errors.AsType[*task.ArgumentError](err)
			if !ok || mismatch.Text != c.want {
				t.Fatalf("err = %v, want %s", err, c.want)
			}
			if exc := task.Exceptions(nil).From(err); exc.Type != "TypeError" || exc.Module != "builtins" {
				t.Errorf("Python would see %s.%s, want builtins.TypeError", exc.Module, exc.Type)
			}
		})
	}
}

func TestWrongTypesNameTheParameter(t *testing.T) {
	t.Parallel()
	err := task.Arguments{Args: raws(`"tea"`, `"many"`)}.Decode(new(order))
	if err == nil || task.Exceptions(nil).From(err).Type != "TypeError" {
		t.Fatalf("err = %v, want a TypeError", err)
	}
	if got := err.Error(); !cmp.Equal(got[:len("task() argument 'count': ")], "task() argument 'count': ") {
		t.Errorf("err = %q, want it to name the argument count", got)
	}
}

func TestArgumentErrorsAreNotRetried(t *testing.T) {
	t.Parallel()
	err := task.Arguments{}.Decode(new(order))
	if _, ok := errors.AsType[*task.PermanentError](err); !ok {
		t.Errorf("%v is not permanent", err)
	}
}

func TestOtherTypesAreOneParameter(t *testing.T) {
	t.Parallel()
	var s string
	if err := (task.Arguments{Args: raws(`"x"`)}).Decode(&s); err != nil || s != "x" {
		t.Errorf("string: %q, %v", s, err)
	}
	var at time.Time
	if err := (task.Arguments{Args: raws(`"2024-01-02T03:04:05Z"`)}).Decode(&at); err != nil || at.Year() != 2024 {
		t.Errorf("time: %v, %v", at, err)
	}
	var none struct{}
	if err := (task.Arguments{}).Decode(&none); err != nil {
		t.Errorf("none: %v", err)
	}
	err := task.Arguments{Args: raws(`1`)}.Decode(&none)
	if err == nil || err.Error() != "task() takes 0 positional arguments but 1 was given" {
		t.Errorf("err = %v", err)
	}
}

func TestSendSplitsAsItIsBound(t *testing.T) {
	t.Parallel()
	remote := task.Remote[order, string]("shop.order")
	s := remote.S(order{Item: "tea", Count: 2, Tags: []string{"a"}})
	if diff := cmp.Diff([]any{"tea", 2}, s.Args); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"tags": []string{"a"}}, s.Kwargs); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefusesWhatCannotBeParameters(t *testing.T) {
	t.Parallel()
	type twice struct {
		A int `task:"x"`
		B int `task:"x"`
	}
	type late struct {
		A int `task:"a,optional"`
		B int `task:"b"`
	}
	type odd struct {
		A int `task:"a,often"`
	}
	for name, build := range map[string]func(){
		"the same name twice":       func() { task.Remote[twice, int]("t") },
		"required after optional":   func() { task.Remote[late, int]("t") },
		"unknown flag":              func() { task.Remote[odd, int]("t") },
		"no name":                   func() { task.Remote[int, int]("") },
		"soft limit above the hard": func() { task.Remote[int, int]("t", task.SoftTimeLimit(2), task.TimeLimit(1)) },
		"New checks as Remote does": func() { task.New("t", func(context.Context, twice) (int, error) { return 0, nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			build()
		})
	}
}
