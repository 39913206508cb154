package wire

import (
	"fmt"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Transcode returns the call with what is encoded of it, and of the calls that it carries, encoded by another codec: a call that came in
// one message may have to go out in a message of another content type.
func Transcode(s task.Signature, from, to codec.Codec) (task.Signature, error) {
	if e, ok := to.(codec.Envelope); ok {
		to = e.Inner()
	}
	if from.ContentType() == to.ContentType() {
		return s, nil
	}
	s, err := transcode(s, from)
	if err != nil {
		return s, fmt.Errorf("wire: transcode %s from %s to %s: %w", s.Task, from.ContentType(), to.ContentType(), err)
	}
	return s, nil
}

// transcode decodes what is encoded: values go out by any codec.
func transcode(s task.Signature, from codec.Codec) (task.Signature, error) {
	args := make([]any, len(s.Args))
	for i, v := range s.Args {
		var err error
		if args[i], err = value(v, from); err != nil {
			return s, fmt.Errorf("args[%d]: %w", i, err)
		}
	}
	kwargs := make(map[string]any, len(s.Kwargs))
	for name, v := range s.Kwargs {
		var err error
		if kwargs[name], err = value(v, from); err != nil {
			return s, fmt.Errorf("kwargs[%q]: %w", name, err)
		}
	}
	s.Args, s.Kwargs = args, kwargs
	for _, list := range []*[]task.Signature{&s.Tasks, &s.Link, &s.LinkError, &s.Chain} {
		if *list == nil {
			continue
		}
		out := make([]task.Signature, len(*list))
		for i, one := range *list {
			var err error
			if out[i], err = transcode(one, from); err != nil {
				return s, fmt.Errorf("%s: %w", one.Task, err)
			}
		}
		*list = out
	}
	for _, one := range []**task.Signature{&s.Body, &s.Chord} {
		if *one == nil {
			continue
		}
		body, err := transcode(**one, from)
		if err != nil {
			return s, fmt.Errorf("%s: %w", body.Task, err)
		}
		*one = &body
	}
	return s, nil
}

func value(v any, from codec.Codec) (any, error) {
	raw, encoded := v.(codec.Raw)
	if !encoded {
		return v, nil
	}
	var decoded any
	err := from.Unmarshal(raw, &decoded)
	return decoded, err
}
