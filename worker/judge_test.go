package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/task"
)

// The whole outcome policy.
func TestJudge(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	other := task.Signature{Task: "other"}
	never := &task.RetryPolicy{If: func(error) bool { return false }}
	backoff := &task.RetryPolicy{Max: 5, Backoff: time.Second, NoJitter: true}
	for _, c := range []struct {
		name    string
		end     ending
		retries int
		set     task.Settings
		want    verdict
		wantErr error // matched with errors.Is
	}{
		{name: "success", end: ending{result: 1}, want: verdict{state: task.Success, disposition: broker.Ack}},
		{name: "success in the soft limit's last moment", end: ending{result: 1, cause: task.ErrSoftTimeLimit}, want: verdict{state: task.Success, disposition: broker.Ack}},
		{name: "failure", end: ending{err: boom}, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: boom},
		{name: "failure to the dead letters", end: ending{err: boom}, set: task.Settings{RejectOnFailure: true}, want: verdict{state: task.Failure, disposition: broker.Reject}, wantErr: boom},
		{name: "ignore", end: ending{err: fmt.Errorf("no: %w", task.ErrIgnore)}, want: verdict{disposition: broker.Ack}, wantErr: task.ErrIgnore},
		{name: "replace", end: ending{err: fmt.Errorf("no: %w", task.Replace(other))}, set: task.Settings{Retry: backoff}, want: verdict{replacement: &other, disposition: broker.Ack}},
		{name: "replace when terminated", end: ending{err: task.Replace(other), cause: task.ErrRevoked}, want: verdict{state: task.Revoked, disposition: broker.Ack}, wantErr: task.ErrRevoked},
		{name: "reject", end: ending{err: task.Reject(boom)}, want: verdict{state: task.Failure, disposition: broker.Reject}, wantErr: boom},
		{name: "requeue", end: ending{err: task.Requeue(boom)}, want: verdict{disposition: broker.Requeue}, wantErr: boom},
		{name: "retry asked for", end: ending{err: task.RetryAfter(boom, time.Minute)}, want: verdict{state: task.Retried, disposition: broker.Ack, retryIn: time.Minute}, wantErr: boom},
		{name: "retry asked for, at once", end: ending{err: task.RetryAfter(boom, 0)}, want: verdict{state: task.Retried, disposition: broker.Ack}, wantErr: boom},
		{name: "retry as the policy says", end: ending{err: task.RetryAfter(boom, -1)}, retries: 3, set: task.Settings{Retry: backoff}, want: verdict{state: task.Retried, disposition: broker.Ack, retryIn: 8 * time.Second}, wantErr: boom},
		{name: "retry as Celery's defaults say", end: ending{err: task.RetryAfter(boom, -1)}, want: verdict{state: task.Retried, disposition: broker.Ack, retryIn: 180 * time.Second}, wantErr: boom},
		{name: "no retry left", end: ending{err: task.RetryAfter(boom, 0)}, retries: 3, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: boom},
		{name: "no retry left and no reason", end: ending{err: task.RetryAfter(nil, 0)}, retries: 3, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: task.ErrMaxRetries},
		{name: "retry by policy", end: ending{err: boom}, retries: 1, set: task.Settings{Retry: backoff}, want: verdict{state: task.Retried, disposition: broker.Ack, retryIn: 2 * time.Second}, wantErr: boom},
		{name: "policy used up", end: ending{err: boom}, retries: 5, set: task.Settings{Retry: backoff}, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: boom},
		{name: "policy for other errors", end: ending{err: boom}, set: task.Settings{Retry: never}, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: boom},
		{name: "permanent despite the policy", end: ending{err: task.Permanent(boom)}, set: task.Settings{Retry: backoff}, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: boom},
		{name: "panic", end: ending{err: &task.PanicError{Value: "oops"}}, want: verdict{state: task.Failure, disposition: broker.Ack}},
		{name: "soft limit", end: ending{err: context.Canceled, cause: task.ErrSoftTimeLimit}, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: task.ErrSoftTimeLimit},
		{name: "other failure after the soft limit", end: ending{err: boom, cause: task.ErrSoftTimeLimit}, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: boom},
		{name: "hard limit", end: ending{limit: time.Second}, set: task.Settings{Retry: backoff}, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: task.ErrTimeLimit},
		{name: "hard limit to the dead letters", end: ending{limit: time.Second}, set: task.Settings{RejectOnFailure: true}, want: verdict{state: task.Failure, disposition: broker.Reject}, wantErr: task.ErrTimeLimit},
		{name: "shutdown", end: ending{err: fmt.Errorf("query: %w", context.Canceled), cause: task.ErrShutdown}, want: verdict{disposition: broker.Requeue}, wantErr: task.ErrShutdown},
		{name: "pool stopped", end: ending{err: context.Canceled, cause: pool.ErrStopped}, set: task.Settings{Retry: backoff}, want: verdict{disposition: broker.Requeue}, wantErr: task.ErrShutdown},
		{name: "own failure during the shutdown", end: ending{err: boom, cause: task.ErrShutdown}, want: verdict{state: task.Failure, disposition: broker.Ack}, wantErr: boom},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := judge(c.end, c.retries, &c.set)
			if c.wantErr != nil && !errors.Is(got.err, c.wantErr) {
				t.Errorf("err = %v, want %v", got.err, c.wantErr)
			}
			if (got.replacement == nil) != (c.want.replacement == nil) {
				t.Errorf("replacement = %v, want %v", got.replacement, c.want.replacement)
			}
			if got.state != c.want.state || got.disposition != c.want.disposition || got.retryIn != c.want.retryIn {
				t.Errorf("got %s, %s, retry in %s; want %s, %s, %s",
					got.state, got.disposition, got.retryIn, c.want.state, c.want.disposition, c.want.retryIn)
			}
		})
	}
}
