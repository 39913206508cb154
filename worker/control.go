package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/control"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// commands are all that this worker hears.
func (w *Worker) commands() control.Mux {
	return control.Merge(w.nodeCommands(), w.revokeCommands(), w.limitCommands())
}

// controlWait bounds how long remote control may hold up the start of a worker, and one answer.
const controlWait = 5 * time.Second

// startControl begins to hear commands, and learns from other workers what was revoked before any task starts. A broker that has no
// place for commands is no reason not to work. The returned function ends it.
func (w *Worker) startControl(ctx context.Context) (stop func()) {
	listening, stop := context.WithCancel(context.WithoutCancel(ctx)) // also while the last tasks end: they can be terminated then
	if w.revoked.path != "" {
		w.loops.Go(func() { w.revoked.keep(listening, w) })
	}
	if w.cfg.NoRemoteControl {
		return stop
	}
	l := &listener{w: w, commands: w.commands(), accept: w.controlFormats()}
	opening, cancel := context.WithTimeout(ctx, controlWait)
	defer cancel()
	err := l.open(opening)
	w.loops.Go(func() { l.run(listening, err) })
	return stop
}

// controlFormats are those of commands: JSON, which Celery's are in, and what tasks may be in.
func (w *Worker) controlFormats() codec.Set {
	accept := codec.NewSet(codec.JSON{})
	maps.Copy(accept, w.cfg.Accept)
	return accept
}

// listener hears commands from the worker's mailbox.
type listener struct {
	w        *Worker
	commands control.Mux
	accept   codec.Set
	consumer broker.Consumer
	mingled  bool
}

// client sends commands to the other workers.
func (l *listener) client() *control.Client {
	cfg := &l.w.cfg
	return &control.Client{Broker: cfg.Broker, Clock: cfg.Clock, Accept: l.accept, Limits: cfg.Limits, Declare: cfg.Declare, Logger: l.w.log}
}

// open declares the mailbox and consumes it. The first time it asks the other workers what they know; what is revoked meanwhile is in
// the mailbox by then.
func (l *listener) open(ctx context.Context) error {
	w := l.w
	neighbours, err := l.hasNeighbours(ctx)
	if err != nil {
		return err
	}
	mailbox := wire.Mailbox(w.cfg.Hostname, w.instance)
	if !w.cfg.Declare.Creates() {
		mailbox.Exchanges = nil
	}
	if err := w.cfg.Broker.Declare(ctx, mailbox); err != nil {
		return err
	}
	consumer, err := w.cfg.Broker.Consume(ctx, broker.ConsumeConfig{Queues: []string{mailbox.Queues[0].Name}, Prefetch: 10, AutoAck: true})
	if err != nil {
		return err
	}
	l.consumer = consumer
	if neighbours {
		l.mingle(ctx)
	}
	l.mingled = true
	return nil
}

// run hears commands until ctx ends, and opens the mailbox again, later and later, while that fails.
func (l *listener) run(ctx context.Context, err error) {
	log, wait := l.w.log.With("hostname", l.w.cfg.Hostname), reopenFirst
	for off := false; ; {
		if err == nil {
			if off {
				log.InfoContext(ctx, "remote control is back")
			}
			off, wait = false, reopenFirst
			err = l.hear(ctx)
			l.close(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if !off {
			log.WarnContext(ctx, "remote control is off and is tried again; tasks go on", "error", err, "reason", whyOff(err))
			off = true
		}
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, reopenMax)
		opening, cancel := context.WithTimeout(ctx, controlWait)
		err = l.open(opening)
		cancel()
	}
}

// whyOff says what to do about a mailbox that cannot be had.
func whyOff(err error) string {
	if errors.Is(err, broker.ErrAccess) {
		return "the broker's user may not have a queue for commands: permit it, or switch remote control off (worker.enable_remote_control)"
	}
	return "the broker has no place for commands just now"
}

func (l *listener) close(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	if err := l.consumer.Close(closing); err != nil && !errors.Is(err, broker.ErrClosed) {
		l.w.log.WarnContext(ctx, "mailbox could not be closed", "error", err)
	}
}

// hear obeys one command after the other.
func (l *listener) hear(ctx context.Context) error {
	for {
		d, err := l.consumer.Next(ctx)
		if err != nil {
			return fmt.Errorf("worker: commands: %w", err)
		}
		l.handle(ctx, d)
	}
}

// handle obeys a command that is for this worker. Whatever is wrong with it, the worker goes on.
func (l *listener) handle(ctx context.Context, d *broker.Delivery) {
	w := l.w
	cmd, err := wire.DecodeCommand(d, l.accept, w.cfg.Limits)
	mine := false
	if err == nil {
		w.cfg.Clock.Adjust(cmd.Clock)
		mine, err = control.Matches(w.cfg.Hostname, cmd.Destination, cmd.Pattern, cmd.Matcher)
	}
	if err != nil {
		w.log.WarnContext(ctx, "command was ignored", "error", err)
		return
	}
	if !mine {
		return
	}
	answer, err := l.commands.Serve(ctx, &control.Call{Method: cmd.Method, Arguments: cmd.Arguments})
	if err != nil {
		w.log.WarnContext(ctx, "command failed", "method", cmd.Method, "error", err)
	}
	if cmd.ReplyTo == nil {
		return
	}
	if err := l.reply(ctx, cmd, answer); err != nil && ctx.Err() == nil {
		w.log.WarnContext(ctx, "answer could not be sent", "method", cmd.Method, "error", err)
	}
}

// reply sends an answer. Nobody waits for one whose queue is gone.
func (l *listener) reply(ctx context.Context, cmd wire.ReceivedCommand, answer any) error {
	msg, err := wire.EncodeAnswer(l.w.cfg.Hostname, answer, cmd.Ticket, l.w.cfg.Clock.Forward())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, controlWait)
	defer cancel()
	to := *cmd.ReplyTo
	to.Optional = true
	if err = l.w.cfg.Broker.Publish(ctx, to, msg); errors.Is(err, broker.ErrUnroutable) {
		return nil
	}
	return err
}
