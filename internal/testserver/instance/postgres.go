package instance

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// pgUser is the superuser of an instance, and the account that the server runs as when this process is root: PostgreSQL
// refuses to run as root.
const pgUser = "postgres"

// PostgreSQL is a private server.
type PostgreSQL struct {
	bin, dir, password string
	port               int

	mu      sync.Mutex
	process *Process // nil while it does not run
}

// StartPostgreSQL makes a cluster and starts a server on it; that takes about two seconds.
func StartPostgreSQL(ctx context.Context) (*PostgreSQL, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := makeDir("postgres")
	if err != nil {
		return nil, err
	}
	p := &PostgreSQL{bin: bin, dir: dir, password: rand.Text()}
	if err := p.initialise(ctx); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	if err := p.Start(ctx); err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// postgresBin finds the directory of the newest server: Debian keeps them by version, off the search path.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is well formed
	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return postgresVersion(a) - postgresVersion(b) })
		return filepath.Dir(newest), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", &MissingError{Program: "postgres", Package: "postgresql"}
	}
	return filepath.Dir(path), nil
}

func postgresVersion(path string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for a directory that is not a version
	return version
}

func (p *PostgreSQL) initialise(ctx context.Context) error {
	ports, err := FreePorts(ctx, 1)
	if err != nil {
		return err
	}
	p.port = ports[0]
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(p.password), 0o600); err != nil {
		return fmt.Errorf("instance: write password: %w", err)
	}
	if err := own(p.dir, pgUser); err != nil {
		return err
	}
	if err := own(secret, pgUser); err != nil {
		return err
	}
	// "password" rather than scram-sha-256, whose thousands of rounds cost each test connection milliseconds
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "initdb"), "--no-sync", "--username="+pgUser, "--auth=password",
		"--pwfile="+secret, "--encoding=UTF8", "--locale=C", "--pgdata="+p.data())
	cmd.Dir, cmd.Env = p.dir, environment(p.dir)
	if cmd.SysProcAttr, err = attributes(pgUser); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("instance: initdb: %w: %s", err, out)
	}
	return nil
}

func (p *PostgreSQL) data() string { return filepath.Join(p.dir, "data") }

func (p *PostgreSQL) log() string { return filepath.Join(p.dir, "log") }

// Start starts the server, on the same port each time, and waits until it answers.
func (p *PostgreSQL) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil && !p.process.gone() {
		return nil
	}
	args := []string{filepath.Join(p.bin, "postgres"), "-D", p.data(), "-p", strconv.Itoa(p.port)}
	// fsync only guards against the machine's crash; commits stay synchronous, so a killed server keeps what it confirmed
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "full_page_writes=off",
		"max_connections=200", "shared_buffers=32MB", "max_wal_size=256MB", "jit=off",
	} {
		args = append(args, "-c", setting)
	}
	process, err := Run(Command{
		Args: args, Env: environment(p.dir), Dir: p.dir, User: pgUser, Log: p.log(), Last: "QUIT", Remove: p.dir,
	})
	if err != nil {
		return err
	}
	p.process = process
	if err := process.await(ctx, p.answers); err != nil {
		return fmt.Errorf("%w\n%s", err, tail(p.log()))
	}
	return nil
}

func (p *PostgreSQL) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// URL is the server's address with the superuser and the database postgres.
func (p *PostgreSQL) URL() string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(pgUser, p.password), Host: Address(p.port),
		Path: "/postgres", RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Version is the server's version, such as "15.19".
func (p *PostgreSQL) Version(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return "", fmt.Errorf("instance: connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	version, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	return version, nil
}

// TerminateBackends ends every client's connection with pg_terminate_backend and returns how many there were.
func (p *PostgreSQL) TerminateBackends(ctx context.Context) (int, error) {
	conn, err := pgx.Connect(ctx, p.URL())
	if err != nil {
		return 0, fmt.Errorf("instance: connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var ended int
	err = conn.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`).Scan(&ended)
	if err != nil {
		return 0, fmt.Errorf("instance: terminate backends: %w", err)
	}
	return ended, nil
}

// Kill ends the server at once, as pg_ctl stop -m immediate does: connections are cut, and the next Start recovers from the log.
func (p *PostgreSQL) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return nil
	}
	process := p.process
	p.process = nil
	return process.Signal("QUIT")
}

// Close ends the server and removes its files.
func (p *PostgreSQL) Close() error {
	err := p.Kill()
	if rmErr := os.RemoveAll(p.dir); err == nil && rmErr != nil {
		err = fmt.Errorf("instance: remove files: %w", rmErr)
	}
	return err
}
