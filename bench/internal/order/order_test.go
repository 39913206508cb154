package order_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/seed-399731e2/taskq/bench/internal/order"
)

func TestKindsAndQueuesComeInTurn(t *testing.T) {
	t.Parallel()
	o := order.Order{Names: 3, Queues: []string{"a", "b"}}
	want := []string{"tasks.add a", "tasks.add1 b", "tasks.add2 a", "tasks.add b"}
	for i, w := range want {
		if got := o.Task(i) + " " + o.Queue(i); got != w {
			t.Errorf("task %d = %s, want %s", i, got, w)
		}
	}
	o.Work = order.Visit
	if got := o.Task(1); got != "access_record" {
		t.Errorf("task of a visit = %s", got)
	}
}

func TestAllocationsAreCountedUntilTheEnd(t *testing.T) {
	t.Parallel()
	var meter order.Meter
	meter.Begin()
	kept := make([][]byte, 1000)
	for i := range kept {
		kept[i] = make([]byte, 1000)
	}
	var a order.Account
	meter.End(&a)
	if a.Mallocs < 1000 || a.Bytes < 1e6 {
		t.Errorf("%d allocations of %d bytes for %d of 1000", a.Mallocs, a.Bytes, len(kept))
	}
	var line bytes.Buffer
	if err := a.Write(&line); err != nil {
		t.Fatal(err)
	}
	var back order.Account
	if err := json.Unmarshal(line.Bytes(), &back); err != nil || back != a {
		t.Errorf("account = %+v, %v; want %+v", back, err, a)
	}
}
