package chaos

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// depth is what a queue holds, as the broker counts it.
type depth struct{ ready, unacked, consumers int }

// askQueues returns a line for each queue. A quorum queue is asked itself: what is known of it elsewhere is up to five seconds old.
const askQueues = `
	Ask = fun(Q, F) -> {ok, {_, N}, _} = ra:leader_query(amqqueue:get_pid(Q), F), N end,
	Count = fun(Q) -> case amqqueue:get_type(Q) of
		rabbit_quorum_queue ->
			[Ask(Q, fun rabbit_fifo:query_messages_ready/1), Ask(Q, fun rabbit_fifo:query_messages_checked_out/1), Ask(Q, fun rabbit_fifo:query_consumer_count/1)];
		_ ->
			[N || {_, N} <- rabbit_amqqueue:info(Q, [messages_ready, messages_unacknowledged, consumers])]
	end end,
	lists:flatten([io_lib:format("~s ~w ~w ~w;", [element(4, amqqueue:get_name(Q)) | Count(Q)]) || Q <- rabbit_amqqueue:list(<<"/">>)])`

// queues returns the depth of every queue.
func queues(ctx context.Context, node *instance.RabbitMQ) (map[string]depth, error) {
	text, err := node.Eval(ctx, strings.Join(strings.Fields(askQueues), " "))
	if err != nil {
		return nil, err
	}
	all := map[string]depth{}
	for line := range strings.SplitSeq(strings.Trim(text, `"`), ";") {
		fields := strings.Fields(line)
		if len(fields) != 4 {
			continue
		}
		var n [3]int
		for i := range n {
			if n[i], err = strconv.Atoi(fields[i+1]); err != nil {
				return nil, fmt.Errorf("chaos: depth of queue %s: %w", fields[0], err)
			}
		}
		all[fields[0]] = depth{n[0], n[1], n[2]}
	}
	return all, nil
}

// clients is how many connections and channels clients have open on a node.
func clients(ctx context.Context, node *instance.RabbitMQ) (connections, channels int, err error) {
	text, err := node.Eval(ctx, "{length(rabbit_networking:local_connections()), length(rabbit_channel:list_local())}")
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(text, "{%d,%d}", &connections, &channels); err != nil {
		return 0, 0, fmt.Errorf("chaos: count clients: %w: %s", err, text)
	}
	return connections, channels, nil
}
