package wire_test

import (
	"slices"
	"testing"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// TestWhatIsReadCanBeSentAgain goes over every captured task message of protocol 2, those of clients and those of workers (links, chain
// steps, chords, replaced tasks, retries): read and sent again, links, chain and chord as signatures, it is the same message.
func TestWhatIsReadCanBeSentAgain(t *testing.T) {
	t.Parallel()
	n := 0
	for _, file := range paths(t, "tasks") {
		f := load(t, file)
		req, err := wire.Decode(f.delivery(t), jsonOnly(), wire.Limits{})
		if err != nil || req.Protocol != 2 || table(t, f.Typed)["compression"] != nil {
			continue // TestDecodesWhatCeleryPublishes knows which
		}
		n++
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			out := wire.Outgoing{Signature: signatureOf(t, req), Now: sentAt(t, f), Origin: req.Origin, Codec: req.Codec}
			got, err := wire.Encode(out)
			if err != nil {
				t.Fatal(err)
			}
			want := asOurs(t, f)
			got.Transient, got.MessageID, got.Type, got.AppID, got.Timestamp = want.Transient, want.MessageID, want.Type, want.AppID, want.Timestamp
			compareMessages(t, want, got)
		})
	}
	if n < 550 {
		t.Errorf("found %d messages, want all 550 and more", n)
	}
}

// signatureOf is the call that a request is.
func signatureOf(t *testing.T, req *task.Request) task.Signature {
	t.Helper()
	list := func(raw codec.Raw) []task.Signature {
		l, err := wire.DecodeSignatures(raw, req.Codec)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	s := task.Signature{Task: req.Name, Kwargs: map[string]any{}, CallOptions: task.CallOptions{
		ID: req.ID, Priority: req.Priority, ETA: req.ETA, Expires: req.Expires, TimeLimit: req.TimeLimit, SoftTimeLimit: req.SoftTimeLimit,
		IgnoreResult: req.IgnoreResult, Shadow: req.Shadow, Headers: req.Headers, RootID: req.RootID, ParentID: req.ParentID,
		GroupID: req.Group, GroupIndex: req.GroupIndex, ReplyTo: req.ReplyTo, StampedHeaders: req.StampedHeaders, Stamps: req.Stamps,
		ArgsRepr: req.ArgsRepr, KwargsRepr: req.KwargsRepr, Retries: req.Retries, ReplacedNesting: req.ReplacedNesting,
		Link: list(req.Embed.Callbacks), LinkError: list(req.Embed.Errbacks), Chain: list(req.Embed.Chain),
	}}
	slices.Reverse(s.Chain)
	for _, raw := range req.Args {
		s.Args = append(s.Args, raw)
	}
	for name, raw := range req.Kwargs {
		s.Kwargs[name] = raw
	}
	if req.Embed.Chord != nil {
		body, err := wire.DecodeSignature(req.Embed.Chord, req.Codec)
		if err != nil {
			t.Fatal(err)
		}
		s.Chord = &body
	}
	return s
}
