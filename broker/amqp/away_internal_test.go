package amqp

import (
	"errors"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/seed-399731e2/taskq/broker"
)

func TestQueueOutOfReachIsNoMissingQueue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want error
	}{
		{"NOT_FOUND - home node 'rabbit@b' of durable queue 'celery' in vhost '/' is down or inaccessible", broker.ErrUnavailable},
		{"NOT_FOUND - failed to perform operation on queue 'celery' in vhost '/' due to timeout", broker.ErrUnavailable},
		{"NOT_FOUND - queue 'celery' in vhost '/' process is stopped by supervisor", broker.ErrUnavailable},
		{"NOT_FOUND - queue 'celery' in vhost '/' has crashed and failed to restart", broker.ErrUnavailable},
		{
			"NOT_FOUND - failed to perform operation on queue 'celery' in vhost '/': its master replica <1.2.3> may be stopping or being demoted",
			broker.ErrUnavailable,
		},
		{"NOT_FOUND - no queue 'celery' in vhost '/'", broker.ErrNoQueue},
		{"NOT_FOUND - no exchange 'celery' in vhost '/'", broker.ErrUnroutable},
	} {
		reply := &amqp091.Error{Code: codeNotFound, Reason: c.text, Server: true, Recover: true}
		for _, err := range []error{missingOrRefused(reply), declareError("queue", "celery", "/", reply)} {
			if !errors.Is(err, c.want) || errors.Is(err, broker.ErrUnavailable) != errors.Is(err, errAway) {
				t.Errorf("%q: error = %v, want one that wraps %v", c.text, err, c.want)
			}
		}
	}
}
