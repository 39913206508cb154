package lab

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/seed-399731e2/taskq/bench/internal/result"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

// Machine describes this one, as far as it says.
func Machine() result.Machine {
	m := result.Machine{Cores: runtime.GOMAXPROCS(0), System: strings.TrimSpace(field("/etc/os-release", "PRETTY_NAME", "=") + ", " + kernel())}
	m.CPU = field("/proc/cpuinfo", "model name", ":")
	if kb, err := strconv.ParseInt(strings.TrimSuffix(field("/proc/meminfo", "MemTotal", ":"), " kB"), 10, 64); err == nil {
		m.Memory = kb << 10
	}
	return m
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	return "Linux " + strings.TrimSpace(string(text)) + " " + runtime.GOARCH
}

// field returns the first value of a name in a file of names and values.
func field(path, name, separator string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, separator); ok && strings.TrimSpace(key) == name {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// Versions are those of servers, languages and the modules of the subjects.
func (l *Lab) Versions(ctx context.Context) map[string]string {
	versions := map[string]string{"Go": strings.TrimPrefix(runtime.Version(), "go")}
	if text, err := testserver.Manage(ctx, l.cfg.Servers.RabbitMQ, "GET", "/api/overview", ""); err == nil {
		for name, key := range map[string]string{"RabbitMQ": "rabbitmq_version", "Erlang": "erlang_version"} {
			versions[name] = jsonText(text, key)
		}
	}
	if l.cfg.Servers.Redis != "" {
		if text, err := redis(ctx, l.cfg.Servers.Redis, "INFO", "server"); err == nil {
			_, rest, _ := strings.Cut(text, "redis_version:")
			versions["Redis"], _, _ = strings.Cut(rest, "\r\n")
		}
	}
	if conn, err := pgx.Connect(ctx, l.cfg.Servers.Postgres); l.cfg.Servers.Postgres != "" && err == nil {
		versions["PostgreSQL"], _, _ = strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
		_ = conn.Close(ctx) // nothing was done
	}
	if python, err := l.python(ctx); err == nil {
		out, err := exec.CommandContext(ctx, python, "-c", "import platform, celery; print(platform.python_version(), celery.__version__)").Output()
		if words := strings.Fields(string(out)); err == nil && len(words) == 2 {
			versions["Python"], versions["Celery"] = words[0], words[1]
		}
	}
	l.addModules(versions)
	return versions
}

// modules are those that subjects are made of, as the table of versions calls them.
func modules() map[string]string {
	return map[string]string{
		"github.com/rabbitmq/amqp091-go": "amqp091-go", "github.com/RichardKnop/machinery/v2": "machinery",
		"github.com/gocelery/gocelery": "gocelery", "github.com/hibiken/asynq": "asynq", "github.com/riverqueue/river": "River",
		"github.com/jackc/pgx/v5": "pgx",
	}
}

// addModules adds their versions in go.mod.
func (l *Lab) addModules(versions map[string]string) {
	text, err := os.ReadFile(filepath.Join(l.cfg.Root, "go.mod"))
	if err != nil {
		return
	}
	names := modules()
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		if name, ok := names[words[0]]; ok {
			versions[name] = strings.TrimPrefix(words[1], "v")
		}
	}
}

// jsonText returns the first text of a name in JSON.
func jsonText(text []byte, key string) string {
	_, rest, _ := strings.Cut(string(text), `"`+key+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
