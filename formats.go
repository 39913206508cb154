package taskq

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/codec/auth"
	"github.com/seed-399731e2/taskq/internal/wire"
)

// formats are the ways in which an application writes and reads the bodies of messages.
type formats struct {
	auth   *auth.Codec // nil: there are no keys
	accept codec.Set
	zlib   codec.Zlib
	zstd   codec.Zstd
}

func isAuth(name string) bool { return name == "auth" || name == (*auth.Codec)(nil).ContentType() }

func newFormats(cfg Config) (*formats, error) {
	f := &formats{}
	wanted := isAuth(cfg.Call.Serializer) || cfg.Auth.Key != "" || cfg.Auth.Certificate != "" || cfg.Auth.Store != ""
	for _, name := range cfg.Accept {
		wanted = wanted || isAuth(name)
	}
	var err error
	if wanted {
		if f.auth, err = auth.New(cfg.Auth); err != nil {
			return nil, fmt.Errorf("taskq: %w", err)
		}
	}
	if f.accept, err = f.accepted(cfg); err != nil {
		return nil, err
	}
	if _, err := f.serializer(cfg.Call.Serializer); err != nil {
		return nil, fmt.Errorf("taskq: task_serializer: %w", err)
	}
	if _, err := f.compression(cfg.Call.Compression); err != nil {
		return nil, fmt.Errorf("taskq: task_compression: %w", err)
	}
	return f, nil
}

// accepted returns what workers take.
func (f *formats) accepted(cfg Config) (codec.Set, error) {
	if len(cfg.Accept) == 0 {
		return codec.NewSet(codec.JSON{}), nil
	}
	set := codec.Set{}
	for _, name := range cfg.Accept {
		c, err := f.serializer(name)
		if err != nil {
			return nil, fmt.Errorf("taskq: accept_content: %w", err)
		}
		set[c.ContentType()] = c
	}
	return set, nil
}

// acceptedResults returns what the reply queue takes: JSON, too, because workers here answer in it, signed calls or not.
func (f *formats) acceptedResults() codec.Set {
	set := codec.NewSet(codec.JSON{})
	maps.Copy(set, f.accept)
	return set
}

// warn says what makes signatures worthless.
func (f *formats) warn(log *slog.Logger) {
	if f.auth != nil && f.accept[f.auth.ContentType()] != nil && len(f.accept) > 1 {
		log.WarnContext(context.Background(), "accept_content has auth and others: who does not sign is believed, too")
	}
}

// serializer returns the codec of a name; "" is JSON.
func (f *formats) serializer(name string) (codec.Codec, error) {
	switch {
	case name == "":
		return codec.JSON{}, nil
	case !isAuth(name):
		return codec.ByName(name)
	case f.auth == nil:
		_, err := auth.New(auth.Config{})
		return nil, err
	}
	return f.auth, nil
}

// compression returns the compression of a name, nil for none.
func (f *formats) compression(name string) (codec.Compression, error) {
	c, err := codec.ParseCompression(name)
	switch c.(type) {
	case *codec.Zlib:
		return &f.zlib, nil // keeps its writers
	case *codec.Zstd:
		return &f.zstd, nil
	}
	return c, err
}

// dress gives a call its codec and compression.
func (f *formats) dress(o *wire.Outgoing) (err error) {
	if o.Codec, err = f.serializer(o.Serializer); err != nil {
		return err
	}
	o.Compression, err = f.compression(o.Signature.Compression)
	return err
}
