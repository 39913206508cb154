package task

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/seed-399731e2/taskq/codec"
)

// Key tells calls of a task apart: those of one key share a limit. Make it with PerArgument, PerKey, AllArguments or PerTask.
type Key struct {
	kind     keyKind
	explicit bool // PerTask, not the zero value
	names    []string
	of       func(*Request) (string, error)
}

type keyKind uint8

const (
	perTask keyKind = iota
	perArgument
	perFunction
	perArguments
)

func (k Key) applyLimit(s *Scope) { s.Key = k }

// PerArgument makes the values of these parameters the key, whether they are given by position or by name.
func PerArgument(names ...string) Key {
	return Key{kind: perArgument, names: slices.Clone(names)}
}

// PerKey makes the key with a function of the request, which must be the same for senders and workers: a sender knows the name and the
// arguments alone. A call for which it returns an error cannot be sent, and fails where it was sent all the same.
func PerKey(of func(*Request) (string, error)) Key { return Key{kind: perFunction, of: of} }

// AllArguments makes all arguments the key.
func AllArguments() Key { return Key{kind: perArguments} }

// PerTask is one key for all calls of the task.
func PerTask() Key { return Key{kind: perTask, explicit: true} }

// Of returns the key of a call, "" for PerTask. Keys are hashes: they say nothing of the arguments. Arguments that are equal in Python are
// equal here, whoever has encoded them: 1 and 1.0, by position or by name, an optional one that is absent or has its zero value.
func (k Key) Of(spec *Spec, req *Request) (key string, err error) {
	switch k.kind {
	case perTask:
		return "", nil
	case perFunction:
		if key, err = k.call(req); err != nil {
			return "", fmt.Errorf("task %s: key of the call: %w", spec.Name, err)
		}
		return hashed([]byte(key)), nil
	}
	values := bound(spec, req.Arguments)
	if k.kind == perArgument {
		maps.DeleteFunc(values, func(name string, _ codec.Raw) bool { return !slices.Contains(k.names, name) })
	}
	text, err := canonicalArguments(spec, values, req.codec())
	if err != nil {
		return "", fmt.Errorf("task %s: key of the call: %w", spec.Name, err)
	}
	return hashed(text), nil
}

// call asks the function of PerKey; one that panics has no key to tell.
func (k Key) call(req *Request) (key string, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v}
		}
	}()
	return k.of(req)
}

func hashed(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// isRaw reports whether the task takes any arguments, without names.
func (s *Spec) isRaw() bool { return len(s.Params) > 0 && s.Params[0].Name == "*args" }

// bound gives the arguments their names. What the task has no parameter for keeps its place or its own name: the call fails anyway.
func bound(spec *Spec, a Arguments) map[string]codec.Raw {
	values := make(map[string]codec.Raw, len(a.Args)+len(a.Kwargs))
	maps.Copy(values, a.Kwargs)
	for i, raw := range a.Args {
		name := "*" + strconv.Itoa(i)
		if i < len(spec.Params) && !spec.isRaw() && !spec.Params[i].Keyword {
			name = spec.Params[i].Name
		}
		values[name] = raw
	}
	return values
}

// canonicalArguments writes named arguments in the one way that all senders share.
func canonicalArguments(spec *Spec, values map[string]codec.Raw, c codec.Codec) ([]byte, error) {
	plain := make(map[string]any, len(values))
	for name, raw := range values {
		var v any
		if err := c.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("argument %s: %w", name, err)
		}
		v = canonical(v)
		optional := slices.ContainsFunc(spec.Params, func(p Param) bool { return p.Name == name && p.Optional })
		if !optional || !isZero(v) {
			plain[name] = v
		}
	}
	return codec.JSON{}.Marshal(plain)
}

// canonical makes equal values the same value.
func canonical(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && !math.IsInf(v, 0) {
			n, _ := big.NewFloat(v).Int(nil)
			return n
		}
	case int64:
		return big.NewInt(v)
	case uint64:
		return new(big.Int).SetUint64(v)
	case time.Time:
		return codec.FormatTime(v.UTC())
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = canonical(e)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, e := range v {
			object[name] = canonical(e)
		}
		return object
	}
	return v
}

// isZero reports whether a canonical value is what the zero value of a Go field is written as.
func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case *big.Int:
		return v.Sign() == 0
	case string:
		return v == ""
	case []byte:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// Request returns the call as the worker that gets it will see it, with its name and arguments alone. What is encoded of the arguments
// (codec.Raw) is encoded by c; nil means JSON.
func (s Signature) Request(c codec.Codec) (*Request, error) {
	if c == nil {
		c = codec.JSON{}
	}
	req := &Request{ID: s.ID, Name: s.Task, GroupIndex: -1, Headers: s.Headers, Retries: s.Retries, Arguments: Arguments{Codec: c, Kwargs: map[string]codec.Raw{}}}
	for _, v := range s.Args {
		raw, err := encoded(v, c)
		if err != nil {
			return nil, fmt.Errorf("task %s: %w", s.Task, err)
		}
		req.Args = append(req.Args, raw)
	}
	for name, v := range s.Kwargs {
		raw, err := encoded(v, c)
		if err != nil {
			return nil, fmt.Errorf("task %s: argument %s: %w", s.Task, name, err)
		}
		req.Kwargs[name] = raw
	}
	return req, nil
}

func encoded(v any, c codec.Codec) (codec.Raw, error) {
	if raw, ok := v.(codec.Raw); ok && raw != nil {
		return raw, nil
	}
	return c.Marshal(v)
}
