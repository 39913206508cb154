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

// queues returns the depth of every queue. Of a quorum queue only the node that leads it knows the numbers.
func queues(ctx context.Context, nodes []*instance.RabbitMQ) (map[string]depth, error) {
	all := map[string]depth{}
	for _, node := range nodes {
		known, err := queuesOf(ctx, node)
		if err != nil {
			return nil, err
		}
		for name, d := range known {
			all[name] = depth{max(all[name].ready, d.ready), max(all[name].unacked, d.unacked), max(all[name].consumers, d.consumers)}
		}
	}
	return all, nil
}

func queuesOf(ctx context.Context, node *instance.RabbitMQ) (map[string]depth, error) {
	text, err := node.Eval(ctx, `lists:flatten([io_lib:format("~s ~w ~w ~w;", [element(4, N), R, U, C]) || `+
		`[{name, N}, {messages_ready, R}, {messages_unacknowledged, U}, {consumers, C}] <- `+
		`rabbit_amqqueue:info_all(<<"/">>, [name, messages_ready, messages_unacknowledged, consumers])])`)
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
			n[i], _ = strconv.Atoi(fields[i+1]) // a queue that is down has no numbers
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
