package worker

import (
	"context"
	"errors"
	"time"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/control"
)

// How long a worker waits for the others when it starts: mingleWait at the most, as in Celery, and mingleQuiet after the last answer.
const (
	mingleWait  = time.Second
	mingleQuiet = 250 * time.Millisecond
)

// hasNeighbours reports whether any worker has a mailbox, before this one has its own: a message that no queue takes says that none
// has. So a worker that starts alone waits for nobody.
func (l *listener) hasNeighbours(ctx context.Context) (bool, error) {
	if l.mingled || l.w.cfg.NoMingle {
		return false, nil
	}
	err := l.client().Probe(ctx, l.w.cfg.Hostname)
	if errors.Is(err, broker.ErrUnroutable) {
		l.w.log.InfoContext(ctx, "mingle: all alone")
		return false, nil
	}
	return true, err
}

// syncData is what workers tell each other (celery/worker/control.py, hello).
type syncData struct {
	Revoked map[string]revokedAt `json:"revoked"`
	Clock   int64                `json:"clock"`
}

// mingle learns from the other workers what was revoked, and tells them what this one knows.
func (l *listener) mingle(ctx context.Context) {
	w := l.w
	w.log.InfoContext(ctx, "mingle: searching for neighbors")
	replies, err := l.client().Call(ctx, control.Request{
		Method: "hello", Timeout: mingleWait, Quiet: mingleQuiet,
		Arguments: map[string]any{"from_node": w.cfg.Hostname, "from_instance": w.instance, "revoked": w.revoked.share()},
	})
	if err != nil {
		w.log.WarnContext(ctx, "mingle failed: what was revoked before is not known here", "error", err)
		return
	}
	nodes := 0
	for _, r := range replies {
		var told syncData
		if string(r.Value) == "null" { // its own
			continue
		}
		if err := (codec.JSON{}).Unmarshal(r.Value, &told); err != nil {
			w.log.WarnContext(ctx, "mingle: sync failed", "hostname", r.Node, "error", err)
			continue
		}
		w.cfg.Clock.Adjust(told.Clock)
		w.revoked.learn(told.Revoked)
		nodes++
	}
	w.log.InfoContext(ctx, "mingle: sync complete", "nodes", nodes)
}

// revokedAt is when a task was revoked, as [seconds, id] or as seconds alone.
//
// Python's workers count the seconds from when their host was booted, which means nothing elsewhere: they are taken as now. Workers of
// this module send those since 1970. Python keeps such an entry for as long as it runs, or until 50000 others have come; anything
// smaller it might drop at once, because it compares with its own clock.
type revokedAt struct{ time.Time }

// sinceEpoch is what no host has been up for, in seconds: 31 years.
const sinceEpoch = 1e9

// UnmarshalJSON implements json.Unmarshaler.
func (r *revokedAt) UnmarshalJSON(text []byte) error {
	var seconds float64
	var pair []codec.Raw
	err := (codec.JSON{}).Unmarshal(text, &seconds)
	if err != nil {
		if err = (codec.JSON{}).Unmarshal(text, &pair); err == nil && len(pair) == 0 {
			err = errors.New("there is no time")
		}
		if err == nil {
			err = (codec.JSON{}).Unmarshal(pair[0], &seconds)
		}
	}
	r.Time = time.Now()
	if seconds >= sinceEpoch && seconds < sinceEpoch*100 {
		r.Time = time.UnixMicro(int64(seconds * 1e6))
	}
	return err
}

// share is what this worker tells others: [seconds, id] by id, with a fraction, which Python insists on.
func (r *revokedTasks) share() map[string]any {
	all := map[string]any{}
	for _, e := range r.ids.Entries() {
		all[e.Key] = []any{float64(e.At.UnixMicro()) / 1e6, e.Key}
	}
	return all
}

// learn takes in what another worker knows.
func (r *revokedTasks) learn(ids map[string]revokedAt) {
	news := false
	for id, at := range ids {
		news = r.ids.Add(id, at.Time) || news
	}
	if news {
		r.note()
	}
}
