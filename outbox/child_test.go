package outbox_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/broker/amqp"
	"github.com/seed-399731e2/taskq/outbox"
)

// The test binary runs itself as a relay in another process when this is set: to "database broker".
const childEnv = "TASKQ_OUTBOX_CHILD"

// beRelay relays until standard input ends.
func beRelay(as string) error {
	database, url, _ := strings.Cut(as, " ")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b, err := amqp.Open(ctx, amqp.Config{URL: url, Logger: quiet()})
	if err != nil {
		return err
	}
	r, err := outbox.NewRelay(outbox.RelayConfig{Config: outbox.Config{URL: database, Logger: quiet()}, Broker: b, Poll: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	go func() { // it ends with the process
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		}
		cancel()
	}()
	return errors.Join(r.Run(ctx), b.Close(context.WithoutCancel(ctx)))
}

// startRelay starts a relay in a process of its own; kill ends it as a crash does.
func startRelay(t *testing.T, database, url string) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+database+" "+url)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := false
	kill = func() {
		if done {
			return
		}
		done = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	t.Cleanup(kill)
	return kill
}
