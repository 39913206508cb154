package instance

import (
	"fmt"
	"os"
)

// makeDir makes a directory for one instance. Another user than root may have to reach it, so root does not use a TMPDIR of
// its own.
func makeDir(name string) (string, error) {
	parent := ""
	if os.Geteuid() == 0 && os.Getenv(DirVariable) == "" {
		parent = "/tmp"
	} else if dir := os.Getenv(DirVariable); dir != "" {
		parent = dir
	}
	dir, err := os.MkdirTemp(parent, "taskq-"+name+"-")
	if err != nil {
		return "", fmt.Errorf("instance: make directory: %w", err)
	}
	return dir, nil
}

// DirVariable names the environment variable with the directory that instances are put into; unset: the system's directory for
// temporary files.
const DirVariable = "TASKQ_TEST_DIR"
