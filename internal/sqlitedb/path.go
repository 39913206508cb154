package sqlitedb

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// DefaultPath is where the store is kept when nothing is configured: taskq.db in the first of $STATE_DIRECTORY (systemd),
// $XDG_STATE_HOME/taskq, and the system's place for what a program keeps: ~/.local/state/taskq, ~/Library/Application Support/taskq
// on macOS, %LocalAppData%\taskq on Windows.
func DefaultPath() (string, error) {
	const name = "taskq.db"
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); filepath.IsAbs(dir) && runtime.GOOS != "windows" {
		return filepath.Join(dir, name), nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) { // the specification has relative ones ignored
		return filepath.Join(dir, "taskq", name), nil
	}
	switch runtime.GOOS {
	case "darwin":
		return under(os.UserConfigDir, "taskq", name)
	case "windows":
		return under(os.UserCacheDir, "taskq", name) // %LocalAppData%
	}
	return under(os.UserHomeDir, ".local", "state", "taskq", name)
}

func under(dir func() (string, error), elements ...string) (string, error) {
	base, err := dir()
	if err != nil {
		return "", fmt.Errorf("sqlitedb: find the directory for the embedded store (name a file with sqlite:///path): %w", err)
	}
	return filepath.Join(append([]string{base}, elements...)...), nil
}

// ParseURL returns the path of the file that the URL names. What follows sqlite:// is the path: sqlite:///var/lib/taskq.db is
// absolute, sqlite://taskq.db and sqlite://./taskq.db are relative; sqlite: and sqlite:// mean DefaultPath.
func ParseURL(raw string) (string, error) {
	rest, ok := strings.CutPrefix(raw, "sqlite:")
	if !ok {
		return "", fmt.Errorf("sqlitedb: %q is no sqlite: URL", raw)
	}
	rest = strings.TrimPrefix(rest, "//")
	if strings.ContainsAny(rest, "?#") {
		return "", fmt.Errorf("sqlitedb: %q: parameters are not understood; write %%3F for ? and %%23 for # in a file name", raw)
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return "", fmt.Errorf("sqlitedb: %q: %w", raw, err)
	}
	if path == "" {
		return DefaultPath()
	}
	if strings.ContainsRune(path, 0) || strings.HasSuffix(path, "/") || path == ":memory:" || path == "/:memory:" {
		return "", fmt.Errorf("sqlitedb: %q does not name a file", raw)
	}
	if runtime.GOOS == "windows" && len(path) > 2 && path[0] == '/' && path[2] == ':' {
		path = path[1:] // sqlite:///C:/taskq.db
	}
	return filepath.FromSlash(path), nil
}
