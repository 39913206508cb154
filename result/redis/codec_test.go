package redis_test

import (
	"errors"
	"testing"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/task"
)

func TestOutcomesAreKeptInTheOneSerializerOfTheStore(t *testing.T) {
	t.Parallel()
	b := opened(t, redis.Config{URL: testserver.Redis(t), Codec: codec.Msgpack{}})
	if err := b.Store(t.Context(), success("json", "1")); !errors.Is(err, result.ErrInvalid) {
		t.Errorf("a result in JSON: %v, want ErrInvalid", err)
	}
	value, err := codec.Msgpack{}.Marshal([]int{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	m := success("t", string(value))
	m.Codec = codec.Msgpack{}
	store(t, b, m)
	late := failure("t")
	if late.Result, err = (codec.Msgpack{}).Marshal(map[string]any{"exc_type": "E"}); err != nil {
		t.Fatal(err)
	}
	late.Codec = codec.Msgpack{}
	store(t, b, late) // after a success it changes nothing
	got, err := b.Wait(t.Context(), "t")
	var numbers []int
	if err = errors.Join(err, got.Value(&numbers)); err != nil || got.State != task.Success || len(numbers) != 2 {
		t.Errorf("%s %v, %v", got.State, numbers, err)
	}
}
