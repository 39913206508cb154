package taskq

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/seed-399731e2/taskq/worker"
)

// stateDB is the file that a worker keeps what was revoked in: the one that is configured, "off" for none, or one beside the embedded
// store. Elsewhere there is none, as in Celery, but for a service to which systemd has given a directory for its state.
func (c *connection) stateDB(opts worker.Options) string {
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	node := opts.Hostname
	if node == "" {
		node = worker.NodeName("celery@%h")
	}
	switch {
	case opts.StateDB == "off":
		return ""
	case opts.StateDB != "":
		return opts.StateDB
	case c.store != nil:
		return c.store.Path() + ".revoked"
	case filepath.IsAbs(dir) && runtime.GOOS != "windows":
		return filepath.Join(dir, strings.ReplaceAll(node, "/", "_")+".revoked")
	}
	return ""
}
