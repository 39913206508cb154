package cli

import (
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/cli/config"
	"github.com/seed-399731e2/taskq/internal/sqlitedb"
	"github.com/seed-399731e2/taskq/pool"
	"github.com/seed-399731e2/taskq/worker"
)

// banner writes to stdout what a worker is about to do, in the layout of Celery's.
func (s *Session) banner(app *taskq.App, opts worker.Options) error {
	if s.quiet {
		return nil
	}
	cfg := app.Config()
	name := opts.Hostname
	if name == "" {
		name = worker.NodeName("celery@%h")
	}
	var b strings.Builder
	fmt.Fprintf(&b, " \n -------------- %s %s (%s)\n--- ***** ----- \n", name, version().short(), s.program.name)
	fmt.Fprintf(&b, "-- ******* ---- %s-%s-%s %s\n", runtime.GOOS, runtime.GOARCH, runtime.Version(), time.Now().Format(time.DateTime))
	b.WriteString("- *** --- * --- \n- ** ---------- [config]\n")
	for _, line := range [][2]string{
		{"- ** ---------- .> app:         ", s.program.name},
		{"- ** ---------- .> transport:   ", shownURL(cfg.BrokerURL)},
		{"- ** ---------- .> results:     ", shownURL(cfg.ResultBackend)},
		{"- *** --- * --- .> concurrency: ", fmt.Sprintf("%d (%s)", slots(opts), opts.Pool)},
		{"-- ******* ---- .> task events: ", "OFF"},
	} {
		b.WriteString(line[0] + line[1] + "\n")
	}
	b.WriteString("--- ***** ----- \n -------------- [queues]\n")
	for _, queue := range opts.Queues {
		for _, how := range ways(app, queue) {
			fmt.Fprintf(&b, "                .> %-16s %s\n", queue, how)
		}
	}
	if opts.Direct {
		fmt.Fprintf(&b, "                .> %-16s exchange=C.dq2(direct) key=%s\n", worker.DirectQueue(name), name)
	}
	b.WriteString("                \n")
	if s.Log.Enabled(nil, slog.LevelInfo) { //nolint:staticcheck // these handlers do not look at the context
		b.WriteString("\n[tasks]\n")
		for _, spec := range app.Registry().All() {
			if spec.Handler != nil {
				fmt.Fprintf(&b, "  . %s\n", spec.Name)
			}
		}
	}
	b.WriteString("\n")
	_, err := s.Out.Write([]byte(b.String()))
	return err
}

// ways are how calls come to a queue, in Celery's words.
func ways(app *taskq.App, queue string) []string {
	t := app.Topology(queue)
	if t.IsEmpty() {
		return []string{fmt.Sprintf("exchange=%s(%s) key=", queue, broker.Fanout)}
	}
	var all []string
	for _, b := range t.Bindings {
		kind := t.Exchanges[slices.IndexFunc(t.Exchanges, func(x broker.Exchange) bool { return x.Name == b.Exchange })].Kind
		way := []string{fmt.Sprintf("exchange=%s(%s) key=%s", b.Exchange, kind, b.Key)}
		for _, name := range slices.Sorted(maps.Keys(b.Arguments)) {
			way = append(way, fmt.Sprintf("%s=%v", name, b.Arguments[name]))
		}
		all = append(all, strings.Join(way, " "))
	}
	return all
}

// shownURL is a URL for people: without its password, and with the path of the embedded store.
func shownURL(url string) string {
	if strings.HasPrefix(url, "sqlite:") {
		if path, err := sqlitedb.ParseURL(url); err == nil {
			return "sqlite://" + path
		}
	}
	if strings.HasSuffix(url, ":") {
		url += "//" // Celery's way to write rpc:// and disabled://
	}
	return config.MaskURL(url)
}

// slots is how many tasks run at once.
func slots(opts worker.Options) int {
	switch {
	case opts.Concurrency > 0:
		return opts.Concurrency
	case opts.Pool == pool.Solo:
		return 1
	}
	return runtime.GOMAXPROCS(0)
}
