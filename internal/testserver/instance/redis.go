package instance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/rueidis"
)

// redisDatabases is how many numbered databases an instance has; each test takes one.
const redisDatabases = 4096

// RedisConfig says what a private Redis has; the zero value forgets everything when it ends.
type RedisConfig struct {
	Durable bool // keep what was written, also when the server is killed
}

// Redis is a private server.
type Redis struct {
	cfg                    RedisConfig
	program, dir, password string
	port                   int

	mu      sync.Mutex
	process *Process // nil while it does not run
}

// StartRedis starts a server and waits until it answers; that takes a moment.
func StartRedis(ctx context.Context, cfg RedisConfig) (*Redis, error) {
	r := &Redis{cfg: cfg, password: rand.Text()}
	if err := r.find(); err != nil {
		return nil, err
	}
	ports, err := FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	r.port = ports[0]
	if r.dir, err = makeDir("redis"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.config(), []byte(r.settings()), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("instance: write redis.conf: %w", err), r.Close())
	}
	if err := r.Start(ctx); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Redis) find() (err error) {
	if r.program, err = exec.LookPath("redis-server"); err != nil {
		return &MissingError{Program: "redis-server", Package: "redis-server"}
	}
	return nil
}

func (r *Redis) config() string { return filepath.Join(r.dir, "redis.conf") }

func (r *Redis) pidFile() string { return filepath.Join(r.dir, "pid") }

func (r *Redis) log() string { return filepath.Join(r.dir, "log") }

// settings keeps the password off the command line, which everybody can read.
func (r *Redis) settings() string {
	lines := []string{
		"bind 127.0.0.1", "port " + strconv.Itoa(r.port), "requirepass " + r.password, "dir " + r.dir,
		"databases " + strconv.Itoa(redisDatabases), `save ""`, "daemonize no", "pidfile " + r.pidFile(),
	}
	if r.cfg.Durable { // without fsync, which only guards against the machine's crash
		lines = append(lines, "appendonly yes", "appendfsync no")
	}
	return strings.Join(lines, "\n") + "\n"
}

// Start starts the server, on the same port each time, and waits until it answers.
func (r *Redis) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process != nil && !r.process.gone() {
		return nil
	}
	process, err := Run(Command{
		Args: []string{r.program, r.config()}, Env: environment(r.dir), Dir: r.dir, Log: r.log(), Last: "KILL", Remove: r.dir,
	})
	if err != nil {
		return err
	}
	r.process = process
	if err := process.await(ctx, func(ctx context.Context) error {
		_, err := r.do(ctx, "PING")
		return err
	}); err != nil {
		return fmt.Errorf("%w\n%s", err, tail(r.log()))
	}
	return nil
}

// URL is the server's address with its password and database 0.
func (r *Redis) URL() string {
	u := url.URL{Scheme: "redis", User: url.UserPassword("", r.password), Host: Address(r.port), Path: "/0"}
	return u.String()
}

// Version is the server's version, such as "7.0.15".
func (r *Redis) Version(ctx context.Context) (string, error) {
	info, err := r.do(ctx, "INFO", "server")
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(info, "redis_version:")
	version, _, _ := strings.Cut(rest, "\r\n")
	return version, nil
}

// do runs one command, as RedisDo does.
func (r *Redis) do(ctx context.Context, command ...string) (string, error) {
	return RedisDo(ctx, r.URL(), command...)
}

// RedisDo runs one command on a connection of its own and returns the answer as text: "" for nil, the values of an array with
// line ends between them.
func RedisDo(ctx context.Context, address string, command ...string) (string, error) {
	options, err := rueidis.ParseURL(address)
	if err != nil {
		return "", errors.New("instance: the address of Redis is not a URL") // the error would quote the password
	}
	options.DisableCache, options.ForceSingleClient, options.DisableRetry, options.AlwaysRESP2 = true, true, true, true
	options.ReadBufferEachConn, options.WriteBufferEachConn, options.RingScaleEachConn = 4<<10, 4<<10, 8 // for one command
	client, err := rueidis.NewClient(options)
	if client != nil {
		defer client.Close()
	}
	if err != nil {
		return "", fmt.Errorf("instance: connect to Redis: %w", err)
	}
	answer, err := client.Do(ctx, client.B().Arbitrary(command...).Build()).ToMessage()
	switch {
	case rueidis.IsRedisNil(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("instance: Redis: %s: %w", command[0], err)
	case answer.IsInt64():
		n, err := answer.AsInt64()
		return strconv.FormatInt(n, 10), err
	case answer.IsArray():
		values, err := answer.AsStrSlice()
		return strings.Join(values, "\n"), err
	}
	return answer.ToString()
}

// Pause stops the server where it is: its connections stay open and silent until Continue.
func (r *Redis) Pause() error { return r.signal(Pause) }

// Continue ends Pause.
func (r *Redis) Continue() error { return r.signal(Continue) }

func (r *Redis) signal(send func(*os.Process) error) error {
	text, err := os.ReadFile(r.pidFile())
	if err != nil {
		return fmt.Errorf("instance: Redis does not run: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("instance: process id of Redis: %w", err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("instance: process of Redis: %w", err)
	}
	return send(process)
}

// Kill ends the server as a crash does.
func (r *Redis) Kill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		return nil
	}
	process := r.process
	r.process = nil
	return process.Signal("KILL")
}

// Close ends the server and removes its files.
func (r *Redis) Close() error {
	err := r.Kill()
	if rmErr := os.RemoveAll(r.dir); err == nil && rmErr != nil {
		err = fmt.Errorf("instance: remove files: %w", rmErr)
	}
	return err
}
