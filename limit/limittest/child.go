package limittest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/seed-399731e2/taskq/limit"
)

// The test binary runs itself as another process when this is set: to an errand.
const childEnv = "TASKQ_LIMIT_CHILD"

// errand is what the other process does.
type errand struct {
	Address string // of the store
	Claim   limit.Claim
}

// IsChild reports whether this process is one that Holder has started, after it has done what it is for: it takes the place, says so, and
// holds it until it is killed or alone. TestMain calls it first.
func IsChild(open func(ctx context.Context, address string) (limit.Store, error)) bool {
	text := os.Getenv(childEnv)
	if text == "" {
		return false
	}
	if err := hold([]byte(text), open); err != nil {
		fmt.Println("error", err)
	}
	return true
}

func hold(text []byte, open func(ctx context.Context, address string) (limit.Store, error)) error {
	var e errand
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	s, err := open(context.Background(), e.Address)
	if err != nil {
		return err
	}
	g, err := s.Acquire(context.Background(), e.Claim)
	if err != nil {
		return err
	}
	fmt.Println("held", g.Held)
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent ends
	return err
}

// Holder returns a Harness.Hold for the store with that address, as IsChild understands it.
func Holder(address string) func(t *testing.T, claim limit.Claim) (kill func()) {
	return func(t *testing.T, claim limit.Claim) func() {
		t.Helper()
		text, err := json.Marshal(errand{address, claim})
		if err != nil {
			t.Fatal(err)
		}
		child := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this test binary
		child.Env = append(os.Environ(), childEnv+"="+string(text))
		child.Stderr = os.Stderr
		input, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		output, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		kill := func() {
			_ = child.Process.Kill()
			_ = child.Wait()
			_ = input.Close()
		}
		line, err := bufio.NewReader(output).ReadString('\n')
		if err != nil || line != "held true\n" {
			kill()
			t.Fatalf("the other process says %q, %v; want that it holds the place", line, err)
		}
		return kill
	}
}
