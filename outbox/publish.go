package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/internal/pgdial"
)

// outcome is what became of the rows of a turn. Those that are in neither list were not answered, and stay as they are.
type outcome struct {
	taken   []int64
	refused []refusal
	away    error // why the broker did not answer; nil when it did
}

// refusal is a row that the broker does not take as it is.
type refusal struct {
	id       int64
	attempts int // before this one
	err      error
}

// again is how long it is left alone: two seconds, and longer each time, up to five minutes.
func (f refusal) again() time.Duration {
	return min(time.Second<<min(f.attempts+1, 10), 5*time.Minute)
}

// log tells of the first time; later ones are in the table.
func (f refusal) log(ctx context.Context, log *slog.Logger) {
	if f.attempts == 0 {
		log.WarnContext(ctx, "a call in the outbox was refused and stays there", "row", f.id, "error", f.err)
	}
}

// maxError is how much of an error is kept, in bytes.
const maxError = 1000

// text is the error as the database takes it.
func (f refusal) text() string {
	text := strings.ToValidUTF8(strings.ReplaceAll(pgdial.Plain(f.err).Error(), "\x00", ""), "\uFFFD")
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "…"
	}
	return text
}

// publish sends the rows in their order, without waiting for the broker's answer between them.
func (r *Relay) publish(ctx context.Context, rows []dueRow) (done outcome) {
	var batch []dueRow
	for _, row := range rows {
		err := row.damaged
		if err == nil {
			err = r.declare(ctx, row.entry.Queue)
		}
		if err == nil {
			batch = append(batch, row)
			continue
		}
		if done.add(row, err); done.away != nil {
			return done // and nothing of the batch is sent before what could not be
		}
	}
	for i, err := range r.send(ctx, batch) {
		if errors.Is(err, broker.ErrUnroutable) && batch[i].entry.Queue != "" {
			err = r.resend(ctx, batch[i].entry)
		}
		done.add(batch[i], err)
	}
	return done
}

// send returns the outcome of each.
func (r *Relay) send(ctx context.Context, rows []dueRow) []error {
	errs := make([]error, len(rows))
	batches, ok := r.cfg.Broker.(broker.BatchPublisher)
	if !ok {
		for i, row := range rows {
			errs[i] = r.cfg.Broker.Publish(ctx, row.entry.To, row.entry.Message)
		}
		return errs
	}
	postings := make([]broker.Posting, len(rows))
	for i, row := range rows {
		postings[i] = row.entry.Posting
	}
	copy(errs, batches.PublishBatch(ctx, postings))
	return errs
}

// resend declares the queue again, which was deleted since it was declared.
func (r *Relay) resend(ctx context.Context, e Entry) error {
	delete(r.declared, e.Queue)
	if err := r.declare(ctx, e.Queue); err != nil {
		return err
	}
	return r.cfg.Broker.Publish(ctx, e.To, e.Message)
}

// declare makes sure that the queue exists. One with other properties than ours will do: it exists, and a message that it does not
// take is an error.
func (r *Relay) declare(ctx context.Context, queue string) (err error) {
	if queue == "" || r.declared[queue] {
		return nil
	}
	if topology := r.cfg.Topology(queue); !topology.IsEmpty() {
		err = r.cfg.Broker.Declare(ctx, topology)
	}
	if _, clash := errors.AsType[*broker.DeclareError](err); err != nil && !clash {
		return err
	}
	r.declared[queue] = true
	return nil
}

// add notes the outcome of a row.
func (o *outcome) add(row dueRow, err error) {
	switch {
	case err == nil:
		o.taken = append(o.taken, row.id)
	case isAway(err):
		o.away = err
	default:
		o.refused = append(o.refused, refusal{row.id, row.attempts, fmt.Errorf("outbox: %w", err)})
	}
}

// isAway reports whether the error says nothing about the message.
func isAway(err error) bool {
	for _, away := range []error{broker.ErrUnavailable, broker.ErrClosed, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, away) {
			return true
		}
	}
	return false
}
