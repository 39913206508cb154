//go:build !linux

package proc

// Take knows of no process.
func Take() (Snapshot, error) { return Snapshot{}, ErrUnknown }

// Listening knows of no server.
func Listening(int, ...string) (int, error) { return 0, ErrUnknown }

func status(int, string) (int64, error) { return 0, ErrUnknown }
