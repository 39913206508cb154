package taskq_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

func TestAWorkflowInATransactionRunsOnceThatIsCommitted(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]taskq.Config{
		"rpc": {BrokerURL: testserver.AMQPVhost(t)}, "Redis": {BrokerURL: testserver.AMQPVhost(t), ResultBackend: testserver.Redis(t)},
		"embedded": {BrokerURL: "sqlite://" + filepath.Join(t.TempDir(), "taskq.db")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outbox, pool := database(t)
			cfg.Outbox = outbox
			app := newApp(t, cfg, add(), sums())
			work(t, app)
			send := func(s task.Signature, end error) (sent *task.Result[any]) {
				t.Helper()
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
					if sent, err = app.SendTx(t.Context(), tx, s); err != nil {
						return err
					}
					return end
				})
				if !errors.Is(err, end) {
					t.Fatal(err)
				}
				return sent
			}
			one := add().S(pair{1, 1})
			workflows := []task.Signature{canvas.Chain(one, plus(2), plus(3)), canvas.Group(one, canvas.Chain(one, plus(1)), one)}
			want := []string{"7", "[2 3 2]"}
			if name != "rpc" {
				workflows, want = append(workflows, canvas.Chord([]task.Signature{one, one, one}, sum())), append(want, "6")
			}
			for i, s := range workflows {
				undone := send(s, errRollback)
				sent := send(s, nil)
				if got, err := sent.Get(t.Context()); err != nil || fmt.Sprint(got) != want[i] {
					t.Errorf("%s = %v, %v; want %s", s.Type, got, err, want[i])
				}
				if counts, err := undone.Counts(t.Context()); err != nil || counts.Waiting != counts.Tasks {
					t.Errorf("%s that was rolled back: %+v, %v; want nothing to have run", s.Type, counts, err)
				}
			}
			emptied(t, pool)
		})
	}
}

func TestAWorkflowThatCannotBeSentLeavesItsTransactionAlone(t *testing.T) {
	t.Parallel()
	_, pool := database(t)
	app := newApp(t, taskq.Config{ResultBackend: "disabled://"}, add())
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]task.Signature{
		"a member":          canvas.Group(plus(1), task.Signature{Task: "x", Args: []any{make(chan int)}}),
		"no steps":          canvas.Chain(),
		"nobody who counts": canvas.Chord([]task.Signature{plus(1), plus(2)}, sum()),
	} {
		if _, err := app.SendTx(t.Context(), tx, s); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: err = %v, want ErrInvalid", name, err)
		}
	}
	results, err := app.SendBatchTx(t.Context(), tx, []task.Signature{plus(1), canvas.Group(plus(1), plus(2)), plus(3)})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	members := results[1].Members()
	got, want := rows(t, pool), []string{results[0].ID(), members[0].ID(), members[1].ID(), results[2].ID()}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v are in the outbox, want %v", got, want)
	}
}
