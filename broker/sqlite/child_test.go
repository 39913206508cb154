package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-399731e2/taskq/broker"
	"github.com/seed-399731e2/taskq/broker/sqlite"
)

// The test binary runs itself as another process when this is set: to "role path lease".
const childEnv = "TASKQ_SQLITE_CHILD"

const (
	queueName = "work"
	patience  = time.Minute
)

func TestMain(m *testing.M) {
	if as := os.Getenv(childEnv); as != "" {
		if err := beChild(strings.SplitN(as, " ", 3)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// beChild plays the role until standard input ends. Each thing done is a line on standard output.
func beChild(as []string) error {
	lease, err := time.ParseDuration(as[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b, err := sqlite.Open(ctx, sqlite.Config{Path: as[2], Lease: lease})
	if err != nil {
		return err
	}
	lines := make(chan string)
	go func() { // it ends with the process
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
		cancel()
	}()
	switch as[0] {
	case "peer":
		err = bePeer(ctx, b)
	case "holder":
		err = beHolder(ctx, b, lines)
	case "sink":
		err = beSink(ctx, b)
	}
	if errors.Is(err, context.Canceled) {
		err = nil // the parent has seen enough
	}
	return errors.Join(err, b.Close(context.WithoutCancel(ctx)))
}

const perPeer = 500

// bePeer publishes and works off messages at the same time.
func bePeer(ctx context.Context, b *sqlite.Broker) error {
	c, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 20})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { workOff(ctx, c) })
	}
	wg.Go(func() {
		for n := range perPeer {
			body := fmt.Sprintf("%d-%d", os.Getpid(), n)
			if err := b.Publish(ctx, broker.Address{RoutingKey: queueName}, broker.Message{Body: []byte(body)}); err != nil {
				fmt.Println("error", err)
				return
			}
			fmt.Println("sent", body)
		}
	})
	wg.Wait()
	return nil
}

func workOff(ctx context.Context, c broker.Consumer) {
	for {
		d, err := c.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("began", string(d.Body))
		if err := d.Settle(context.WithoutCancel(ctx), broker.Ack); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("done", string(d.Body))
	}
}

// beHolder takes deliveries one by one and settles each when a line comes in.
func beHolder(ctx context.Context, b *sqlite.Broker, lines <-chan string) error {
	c, err := b.Consume(ctx, broker.ConsumeConfig{Queues: []string{queueName}, Prefetch: 1})
	if err != nil {
		return err
	}
	for {
		d, err := c.Next(ctx)
		if err != nil {
			return err
		}
		fmt.Println("holds", string(d.Body))
		select {
		case <-lines:
		case <-ctx.Done():
			return ctx.Err()
		}
		switch err := d.Settle(ctx, broker.Ack); {
		case errors.Is(err, broker.ErrStale):
			fmt.Println("stale", string(d.Body))
		case err != nil:
			return err
		default:
			fmt.Println("done", string(d.Body))
		}
	}
}

// child is a process of ours.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan []string // verb and body; closed at the end of its output
}

func startChild(t testing.TB, role, path string, lease time.Duration) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context()) // it ends with its standard input, or is killed
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", childEnv, role, lease, path))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, stdin: stdin, lines: make(chan []string, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() { c.read(stdout) })
	t.Cleanup(func() {
		_ = stdin.Close()
		if t.Failed() {
			_ = cmd.Process.Kill()
		}
		for range c.lines { // let it finish
		}
		wg.Wait()
		_ = cmd.Wait() // a killed one ends with an error
	})
	return c
}

func (c *child) read(stdout io.Reader) {
	defer close(c.lines)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		verb, body, _ := strings.Cut(lines.Text(), " ")
		c.lines <- []string{verb, body}
	}
}

// says waits for the child's next line, which must be this one.
func (c *child) says(t *testing.T, verb, body string) {
	t.Helper()
	select {
	case got := <-c.lines:
		if len(got) != 2 || got[0] != verb || got[1] != body {
			t.Fatalf("child says %q, want %q", got, []string{verb, body})
		}
	case <-time.After(patience):
		t.Fatalf("child does not say %q", []string{verb, body})
	}
}

func declareWork(t testing.TB, b broker.Broker) {
	t.Helper()
	if err := b.Declare(t.Context(), broker.TaskQueue(broker.Queue{Name: queueName})); err != nil {
		t.Fatal(err)
	}
}

func closeLater(t testing.TB, b broker.Broker) {
	t.Helper()
	t.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func publish(t testing.TB, b broker.Broker, body string) {
	t.Helper()
	if err := b.Publish(t.Context(), broker.Address{RoutingKey: queueName}, broker.Message{Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

func nanos(body []byte) int64 {
	n, err := strconv.ParseInt(string(body), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
