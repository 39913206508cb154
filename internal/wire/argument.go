package wire

import (
	"fmt"
	"maps"
	"slices"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// callsIn writes the calls among arguments as Celery does: celery.map has one. The arguments themselves stay as they are.
func callsIn(args []any, kwargs map[string]any, c codec.Codec) ([]any, map[string]any, error) {
	writtenArgs, writtenKwargs := args, kwargs
	for i, v := range args {
		raw, err := callIn(v, c)
		if err != nil {
			return nil, nil, fmt.Errorf("args[%d]: %w", i, err)
		}
		if raw == nil {
			continue
		}
		if &writtenArgs[0] == &args[0] {
			writtenArgs = slices.Clone(args)
		}
		writtenArgs[i] = raw
	}
	cloned := false
	for name, v := range kwargs {
		raw, err := callIn(v, c)
		if err != nil {
			return nil, nil, fmt.Errorf("kwargs[%q]: %w", name, err)
		}
		if raw == nil {
			continue
		}
		if !cloned {
			writtenKwargs, cloned = maps.Clone(kwargs), true
		}
		writtenKwargs[name] = raw
	}
	return writtenArgs, writtenKwargs, nil
}

// callIn is the value as it is written if it is a call or a list of calls, else nil.
func callIn(v any, c codec.Codec) (codec.Raw, error) {
	switch v := v.(type) {
	case task.Signature:
		return EncodeSignature(v, c)
	case []task.Signature:
		return EncodeSignatures(v, c)
	}
	return nil, nil
}
