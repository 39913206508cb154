package interop_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/task"
)

// TestAnAnswerThatCannotBeSentDelaysTheAcknowledgement: a broker that is short of memory takes no messages for a while, and so no rpc
// results, while deliveries and acknowledgements go on.
func TestAnAnswerThatCannotBeSentDelaysTheAcknowledgement(t *testing.T) {
	t.Parallel()
	server := testserver.StartRabbitMQ(t)
	began, end := make(chan struct{}, 10), make(chan struct{})
	double := task.New("double", func(_ context.Context, n number) (int, error) {
		began <- struct{}{}
		<-end
		return 2 * n.N, nil
	})
	runWorker(t, newApp(t, server.URL, double))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	result, err := double.Send(ctx, newApp(t, server.URL), number{21})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	server.Eval(`rabbit_alarm:set_alarm({{resource_limit, memory, node()}, []})`)
	close(end)
	<-time.After(500 * time.Millisecond) // time enough to do it wrong
	unsettled := server.Eval(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"celery">>)), rabbit_amqqueue:info(Q, [messages_unacknowledged])`)
	if !strings.Contains(unsettled, "{messages_unacknowledged,1}") {
		t.Errorf("while no answer can be sent: %s, want one", unsettled)
	}
	if state, err := result.State(ctx); err != nil || state != task.Pending {
		t.Errorf("while no answer can be sent the state is %s, %v", state, err)
	}
	server.Eval(`rabbit_alarm:clear_alarm({resource_limit, memory, node()})`)
	if got, err := result.Get(ctx); err != nil || got != 42 {
		t.Errorf("the result is %d, %v; want 42", got, err)
	}
	if len(began) > 0 {
		t.Error("the task ran again")
	}
}
