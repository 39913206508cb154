package instance_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

func TestClusterOutlivesANodeAndTakesItBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cluster, err := instance.StartCluster(ctx, 3)
	testserver.Started(t, "RabbitMQ", err)
	t.Cleanup(func() { _ = cluster.Close() })
	members := func(want string) {
		t.Helper()
		for { // a node learns from its connections who is gone
			got, err := cluster.Nodes[0].Eval(ctx, "length(rabbit_nodes:all_running())")
			if err != nil {
				t.Fatalf("%s nodes run, error %v; want %s", got, err, want)
			}
			if got == want {
				return
			}
		}
	}
	members("3")
	if err := cluster.Nodes[2].Kill(); err != nil {
		t.Fatal(err)
	}
	members("2")
	if err := cluster.Nodes[2].Start(ctx); err != nil {
		t.Fatal(err)
	}
	members("3")
}
