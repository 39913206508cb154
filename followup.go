package taskq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// followUp returns how a worker publishes the calls that follow its tasks: as Send does, but that nobody here waits for their outcomes,
// and that the worker itself notes them as children. What follows a signed call is signed. A duplicate of a unique call is sent all the
// same: the worker that gets it stores that it is one, for those who wait for the workflow. See worker.Config.
func (a *App) followUp(b broker.Broker) func(context.Context, task.Signature, codec.Codec) error {
	return func(ctx context.Context, s task.Signature, args codec.Codec) error {
		if req := task.FromContext(ctx); req != nil && req.Envelope != nil && s.Serializer == "" {
			s.Serializer = req.Envelope.ContentType() // who takes signed calls may take no others
		}
		now := time.Now()
		s, err := a.complete(ctx, s, now)
		if err != nil {
			return err
		}
		out := wire.Outgoing{Signature: s, Now: now, Origin: a.origin}
		held, err := a.hold(ctx, s, args)
		if err != nil && !errors.Is(err, task.ErrDuplicateCall) {
			return err
		}
		msg, err := a.encodeFollowUp(&out, args)
		if err != nil {
			err = fmt.Errorf("taskq: %w", &unsendable{err})
		} else {
			err = a.publish(ctx, b, out, msg)
		}
		held.sent(ctx, err)
		return err
	}
}

func (a *App) encodeFollowUp(out *wire.Outgoing, args codec.Codec) (msg broker.Message, err error) {
	if err = out.CallOptions.Validate(); err != nil {
		return msg, err
	}
	if err = a.formats.dress(out); err != nil {
		return msg, err
	}
	if out.Signature, err = wire.Transcode(out.Signature, args, out.Codec); err != nil {
		return msg, err
	}
	return wire.Encode(*out)
}
