package revokes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// State is what a worker remembers across restarts.
type State struct {
	Clock   int32   // Lamport's
	Revoked []Entry // ids of tasks
	Stamps  []Entry // see StampKey
}

// document is the file. Times are Unix milliseconds, by the wall clock.
type document struct {
	Format  string           `json:"format"`
	Version int              `json:"version"`
	Clock   int32            `json:"clock"`
	Revoked map[string]int64 `json:"revoked"` // when, by id
	Stamps  map[string]int64 `json:"stamps"`  // when, by name and value
}

const (
	format  = "taskq worker state"
	version = 1
)

// ErrForeign is wrapped by the error of Load for a file that Save has not written, such as the shelve of a Python worker.
var ErrForeign = errors.New("not a state file of taskq")

// Load reads the state from a file. One that does not exist is an empty state.
func Load(path string) (State, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 { // an empty one is what mktemp leaves
		return State{}, nil
	}
	if err != nil {
		return State{}, about(path, err)
	}
	var doc document
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&doc); err != nil || doc.Format != format || decoder.More() {
		return State{}, fmt.Errorf("%s: %w", path, ErrForeign)
	}
	if doc.Version != version {
		return State{}, fmt.Errorf("%s: version %d, this program reads version %d: %w", path, doc.Version, version, ErrForeign)
	}
	return State{Clock: doc.Clock, Revoked: entries(doc.Revoked), Stamps: entries(doc.Stamps)}, nil
}

// Save replaces the file by one with the state: a reader, or a crash, finds the old one or the new one whole.
func Save(path string, state State) error {
	text, err := json.Marshal(document{
		Format: format, Version: version, Clock: state.Clock, Revoked: times(state.Revoked), Stamps: times(state.Stamps),
	})
	if err != nil {
		return fmt.Errorf("revokes: %w", err)
	}
	return about(path, replace(path, append(text, '\n')))
}

// about names the file, and not the one beside it that replaces it.
func about(path string, err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: failed.Op, Path: path, Err: failed.Err}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func replace(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // it is of no use to anybody
	}
	return err
}

func entries(times map[string]int64) []Entry {
	list := make([]Entry, 0, len(times))
	for key, at := range times {
		list = append(list, Entry{key, time.UnixMilli(at)})
	}
	return list
}

func times(list []Entry) map[string]int64 {
	at := make(map[string]int64, len(list))
	for _, e := range list {
		at[e.Key] = e.At.UnixMilli()
	}
	return at
}
