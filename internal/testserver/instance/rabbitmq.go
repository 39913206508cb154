package instance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const rabbitUser = "taskq"

// RabbitMQConfig says what a private RabbitMQ has; the zero value is a plain server.
type RabbitMQConfig struct {
	Management   bool // with the management plugin, so that API works; adds about a second to the start
	Certificates bool // with the plugin that lets clients log in with a certificate (EXTERNAL)
}

// RabbitMQ is a private server of one node, or one node of a Cluster.
type RabbitMQ struct {
	cfg            RabbitMQConfig
	program, epmd  string
	dir, password  string
	home           string // where the Erlang cookie is
	port, distPort int
	apiPort        int
	epmdPort       int
	mapper         *Process // Erlang's port mapper, our own, so that none is left behind
	mapped         bool     // the mapper is another node's

	mu    sync.Mutex
	node  *Process // nil while it does not run
	calls int      // number of Eval calls, to tell their outputs apart
}

// StartRabbitMQ starts a server and waits until it speaks AMQP; that takes four to ten seconds.
func StartRabbitMQ(ctx context.Context, cfg RabbitMQConfig) (*RabbitMQ, error) {
	r := &RabbitMQ{cfg: cfg, password: rand.Text()}
	if err := r.find(); err != nil {
		return nil, err
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if err := r.Start(ctx); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// find prefers the server's own script: the one that Debian puts on the search path switches users.
func (r *RabbitMQ) find() error {
	r.program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	if _, err := os.Stat(r.program); err != nil {
		if r.program, err = exec.LookPath("rabbitmq-server"); err != nil {
			return &MissingError{Program: "rabbitmq-server", Package: "rabbitmq-server"}
		}
	}
	var err error
	if r.epmd, err = exec.LookPath("epmd"); err != nil {
		return &MissingError{Program: "epmd", Package: "erlang-base"}
	}
	return nil
}

func (r *RabbitMQ) prepare(ctx context.Context) error {
	ports, err := FreePorts(ctx, 4)
	if err != nil {
		return err
	}
	r.port, r.distPort, r.apiPort, r.epmdPort = ports[0], ports[1], ports[2], ports[3]
	if r.dir, err = makeDir("rabbitmq"); err != nil {
		return err
	}
	r.home = r.dir
	plugins := "[" + strings.Join(r.plugins(), ",") + "]."
	files := map[string]string{"enabled_plugins": plugins, "advanced.config": r.config()}
	for name, text := range files {
		if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
			_ = os.RemoveAll(r.dir)
			return fmt.Errorf("instance: write %s: %w", name, err)
		}
	}
	if r.program, err = r.layOutHome(); err != nil {
		_ = os.RemoveAll(r.dir)
	}
	return err
}

// plugins are those that are switched on.
func (r *RabbitMQ) plugins() []string {
	var names []string
	if r.cfg.Management {
		names = append(names, "rabbitmq_management")
	}
	if r.cfg.Certificates {
		names = append(names, "rabbitmq_auth_mechanism_ssl")
	}
	return names
}

// config is written as Erlang terms: the other format is translated at each start, which takes a second.
func (r *RabbitMQ) config() string {
	return fmt.Sprintf(`[
	{rabbit, [
		{tcp_listeners, [{"127.0.0.1", %d}]},
		{default_user, <<"%s">>},
		{default_pass, <<"%s">>},
		{disk_free_limit, 10000000},
		%%%% three minutes otherwise, and what a restart interrupts waits for it
		{dead_letter_worker_publisher_confirm_timeout, 2000},
		{vm_memory_high_watermark, {absolute, 1000000000}}
	]},
	{rabbitmq_management, [{tcp_config, [{ip, "127.0.0.1"}, {port, %d}]}]}
].
`, r.port, rabbitUser, r.password, r.apiPort)
}

func (r *RabbitMQ) path(name string) string { return filepath.Join(r.dir, name) }

func (r *RabbitMQ) environment() []string {
	return environment(r.home,
		"ERL_EPMD_PORT="+strconv.Itoa(r.epmdPort),
		"RABBITMQ_NODENAME="+r.Node(),
		"RABBITMQ_DIST_PORT="+strconv.Itoa(r.distPort),
		"RABBITMQ_MNESIA_BASE="+r.path("data"),
		"RABBITMQ_LOG_BASE="+r.dir,
		"RABBITMQ_PID_FILE="+r.path("pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+r.path("enabled_plugins"),
		"RABBITMQ_CONFIG_FILE="+r.path("none"),
		"RABBITMQ_ADVANCED_CONFIG_FILE="+r.path("advanced.config"),
		"RABBITMQ_LOGS="+r.path("server.log"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		// the node reads Erlang from its standard input, and ends when that does
		"RABBITMQ_ALLOW_INPUT=true",
		// one scheduler that does not spin: the tests need the processors
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
	)
}

// Start starts the node, on the same ports and files each time, and waits until it speaks AMQP.
func (r *RabbitMQ) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node != nil && !r.node.gone() {
		return nil
	}
	if err := r.startMapper(); err != nil {
		return err
	}
	node, err := RunReading(Command{Args: []string{r.program}, Env: r.environment(), Dir: r.dir, Log: r.path("output")})
	if err != nil {
		return err
	}
	r.node = node
	if err := node.await(ctx, r.answers); err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, tail(r.path("output")), tail(r.path("server.log")))
	}
	return nil
}

// The caller holds mu.
func (r *RabbitMQ) startMapper() error {
	if r.mapper != nil || r.mapped {
		return nil
	}
	mapper, err := Run(Command{
		Args: []string{r.epmd, "-port", strconv.Itoa(r.epmdPort), "-address", "127.0.0.1"},
		Env:  environment(r.dir), Dir: r.dir, Log: r.path("epmd.log"),
		Last: "KILL", Remove: r.dir,
	})
	if err != nil {
		return err
	}
	r.mapper = mapper
	return nil
}

// answers opens a connection as a client does, up to the server's first frame (Connection.Start, a frame of type 1).
func (r *RabbitMQ) answers(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", Address(r.port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // a TCP connection takes deadlines
	if _, err := io.WriteString(conn, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	frame := make([]byte, 1)
	if _, err := io.ReadFull(conn, frame); err != nil {
		return err
	}
	if frame[0] != 1 {
		return errors.New("instance: not an AMQP 0-9-1 server")
	}
	return r.apiAnswers(ctx)
}

func (r *RabbitMQ) apiAnswers(ctx context.Context) error {
	if !r.cfg.Management {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.API()+"/api/vhosts", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("instance: management API: %s", resp.Status)
	}
	return nil
}

// Node is the name of the Erlang node.
func (r *RabbitMQ) Node() string { return "taskq" + strconv.Itoa(r.port) + "@localhost" }

// URL is the server's AMQP address, with its default vhost "/".
func (r *RabbitMQ) URL() string {
	u := url.URL{Scheme: "amqp", User: url.UserPassword(rabbitUser, r.password), Host: Address(r.port), Path: "/"}
	return u.String()
}

// API is the base address of the management API; empty without the plugin.
func (r *RabbitMQ) API() string {
	if !r.cfg.Management {
		return ""
	}
	u := url.URL{Scheme: "http", User: url.UserPassword(rabbitUser, r.password), Host: Address(r.apiPort)}
	return u.String()
}

// Kill kills the node, as a crash would, and waits until it is gone.
func (r *RabbitMQ) Kill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node == nil {
		return nil
	}
	node := r.node
	r.node = nil
	return node.Kill()
}

// Stop ends the node in good order, as rabbitmqctl stop does: clients are told (320 CONNECTION_FORCED).
func (r *RabbitMQ) Stop(ctx context.Context) error {
	if _, err := r.Eval(ctx, "spawn(fun rabbit:stop_and_halt/0), ok"); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	node := r.node
	r.node = nil
	return node.wait()
}

// Pause stops the node's process where it is; its connections stay open and silent until Continue.
func (r *RabbitMQ) Pause() error { return r.interrupt(Pause) }

// Continue ends Pause.
func (r *RabbitMQ) Continue() error { return r.interrupt(Continue) }

func (r *RabbitMQ) interrupt(signal func(*os.Process) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node == nil {
		return errors.New("instance: the node does not run")
	}
	return signal(r.node.cmd.Process)
}

// Close ends the server and removes its files.
func (r *RabbitMQ) Close() error {
	err := r.Kill()
	if r.mapper != nil {
		if closeErr := r.mapper.Signal("KILL"); err == nil {
			err = closeErr
		}
	}
	if rmErr := os.RemoveAll(r.dir); err == nil && rmErr != nil {
		err = fmt.Errorf("instance: remove files: %w", rmErr)
	}
	return err
}
