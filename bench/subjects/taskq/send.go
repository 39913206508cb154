package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/bench/internal/order"
	"github.com/seed-399731e2/taskq/bench/internal/subject"
	"github.com/seed-399731e2/taskq/builtin/accessrecord"
	"github.com/seed-399731e2/taskq/task"
)

// sender sends by App.Send, or what is to be sent together by App.SendBatch.
type sender struct {
	job  *subject.Job
	app  *taskq.App
	adds []*task.Task[sum, int]
	pad  string
}

func open(ctx context.Context, j *subject.Job) (subject.Sender, error) {
	app, err := taskq.New(config(j, slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, err
	}
	if _, err := app.Broker(ctx); err != nil { // connecting is no part of sending
		return nil, errors.Join(err, app.Close(context.WithoutCancel(ctx)))
	}
	s := &sender{job: j, app: app, pad: strings.Repeat("x", j.Body)}
	for i := range max(j.Names, 1) {
		s.adds = append(s.adds, task.Remote[sum, int](j.Task(i)))
	}
	return s, nil
}

// Send implements subject.Sender.
func (s *sender) Send(ctx context.Context, first, end int) error {
	if end == first+1 {
		_, err := s.app.Send(ctx, s.call(first))
		return err
	}
	calls := make([]task.Signature, 0, end-first)
	for i := first; i < end; i++ {
		calls = append(calls, s.call(i))
	}
	_, err := s.app.SendBatch(ctx, calls)
	return err
}

func (s *sender) call(i int) task.Signature {
	options := []task.SendOption{task.Queue(s.job.Queue(i))}
	if s.job.Delay > 0 {
		options = append(options, task.Countdown(time.Duration(s.job.Delay*float64(time.Second))))
	}
	if s.job.Work == order.Visit {
		return accessrecord.Remote().S(accessrecord.Call{Data: accessrecord.Visit(subject.NewVisit(i))}, options...)
	}
	return s.adds[i%len(s.adds)].S(sum{X: i, Y: 2, Pad: s.pad}, options...)
}

// Close implements subject.Sender.
func (s *sender) Close() error { return s.app.Close(context.Background()) }
