package wire

import "github.com/seed-399731e2/taskq/task"

// Chorded reports whether a chord waits for the request, or for the last step of the chain that follows it. The broker must not drop such
// a message in silence, as it would once its time to live is over: the chord would wait for ever. Its worker tells by the header expires
// that it is too late. Celery's clients give it a time to live all the same.
func Chorded(req *task.Request) bool {
	if req.Embed.Chord != nil {
		return true
	}
	if req.Embed.Chain == nil || req.Codec == nil {
		return false
	}
	chain, err := DecodeSignatures(req.Embed.Chain, req.Codec)
	return err == nil && len(chain) > 0 && BodyOf(&chain[0]) != nil // the last step is first on the wire
}

// BodyOf returns the body of the chord that waits for what comes of a call or workflow in the end; nil when none does.
func BodyOf(s *task.Signature) *task.Signature {
	for {
		switch {
		case len(s.Chain) > 0:
			s = &s.Chain[len(s.Chain)-1]
		case s.Type == "chain" && len(s.Tasks) > 0 && s.Chord == nil:
			s = &s.Tasks[len(s.Tasks)-1]
		case s.Type == "chord" && s.Body != nil && s.Chord == nil:
			s = s.Body
		default:
			return s.Chord
		}
	}
}
