package lab

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/seed-399731e2/taskq/bench/internal/order"
)

// Server is where a subject has its queues, or keeps outcomes.
type Server string

// Servers, and the file that only taskq has.
const (
	Nowhere  Server = "" // it has no queues
	RabbitMQ Server = "rabbitmq"
	Redis    Server = "redis"
	Postgres Server = "postgres"
	File     Server = "file"
)

// Subject is a measured system in one setting.
type Subject struct {
	Name    string      // of the system
	Setting string      // for the reader: "goroutines -c 10, prefetch 64"
	Note    string      // what the reader must know to compare it fairly
	Program string      // its directory in subjects; "" is Name
	Command []string    // of a program that is there already; nil: it is built
	Python  bool        // it is Celery's app.py
	Broker  Server      // where its queues are
	Foreign bool        // it reads no messages of Celery's, and so fills its queues itself
	Order   order.Order // what of the order is its own: Pool, Slots, Prefetch, Batch
	Fillers int         // goroutines that fill its queues, of a foreign one; 0 means 16
	Env     []string    // besides the harness's own
	Speed   int         // tasks that it runs in a second, roughly: how many are measured follows from it
	// Waiting counts the tasks that wait in a fresh vhost or database, where the harness cannot count by itself; nil: nobody counts.
	Waiting func(ctx context.Context, url string) (int, error)
}

// String is for the progress.
func (s Subject) String() string { return s.Name + " (" + s.Setting + ")" }

// command is how the program is started.
func (l *Lab) command(ctx context.Context, s Subject) ([]string, error) {
	if s.Command != nil {
		return s.Command, nil
	}
	dir := filepath.Join("subjects", cmp.Or(s.Program, s.Name))
	if s.Python {
		python, err := l.python(ctx)
		return []string{python, filepath.Join(l.cfg.Root, dir, "app.py")}, err
	}
	program, err := l.Build(ctx, dir)
	return []string{program}, err
}
