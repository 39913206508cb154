//go:build unix && !aix

package netpeek_test

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/netpeek"
)

// pair returns both ends of a connection.
func pair(tb testing.TB, network string) (here, there net.Conn) {
	tb.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(tb.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	here, err = net.Dial(network, l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	there, err = l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// becomes waits until the kernel has carried over what the other end did.
func becomes(t *testing.T, c net.Conn, want netpeek.State) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for got := netpeek.Alive(c); got != want; got = netpeek.Alive(c) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("state = %v, want %v", got, want)
		}
	}
}

// trial is a test on one connection.
type trial struct {
	*testing.T
	here, there net.Conn
}

func networks(t *testing.T, test func(t trial)) {
	t.Helper()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			here, there := pair(t, network)
			if got := netpeek.Alive(here); got != netpeek.Quiet {
				t.Fatalf("a new connection is %v, want quiet", got)
			}
			test(trial{t, here, there})
		})
	}
}

func TestBytesAreSeenAndNotRead(t *testing.T) {
	t.Parallel()
	networks(t, func(t trial) {
		if _, err := t.there.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		becomes(t.T, t.here, netpeek.Readable)
		becomes(t.T, t.here, netpeek.Readable)
		buf := make([]byte, 4)
		if n, err := t.here.Read(buf); n != 1 || err != nil || buf[0] != 'x' {
			t.Errorf("Read = %d, %v, %q, want the byte", n, err, buf[:n])
		}
		becomes(t.T, t.here, netpeek.Quiet)
	})
}

func TestAByteBeforeTheEndIsReadable(t *testing.T) {
	t.Parallel()
	networks(t, func(t trial) {
		if _, err := t.there.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		t.there.Close()
		becomes(t.T, t.here, netpeek.Readable)
	})
}

func TestAClosedPeerIsSeen(t *testing.T) {
	t.Parallel()
	networks(t, func(t trial) {
		t.there.Close()
		becomes(t.T, t.here, netpeek.Closed)
	})
}

func TestAResetIsSeen(t *testing.T) {
	t.Parallel()
	here, there := pair(t, "tcp")
	if err := there.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	there.Close()
	becomes(t, here, netpeek.Closed)
}

func TestAConnectionClosedHereIsClosed(t *testing.T) {
	t.Parallel()
	networks(t, func(t trial) {
		t.here.Close()
		becomes(t.T, t.here, netpeek.Closed)
	})
}

func TestTLSIsLookedThrough(t *testing.T) {
	t.Parallel()
	here, there := pair(t, "tcp")
	secure := tls.Client(here, &tls.Config{ServerName: "localhost"})
	becomes(t, secure, netpeek.Quiet)
	there.Close()
	becomes(t, secure, netpeek.Closed)
}

func TestOtherConnectionsAreUnknown(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := netpeek.Alive(a); got != netpeek.Unknown {
		t.Errorf("a pipe is %v, want unknown", got)
	}
}

func TestAReadDeadlineThatHasPassedDoesNotMatter(t *testing.T) {
	t.Parallel()
	here, there := pair(t, "tcp")
	if err := here.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := netpeek.Alive(here); got != netpeek.Quiet {
		t.Errorf("past its deadline it is %v, want quiet", got)
	}
	there.Close()
	becomes(t, here, netpeek.Closed)
}

func BenchmarkAlive(b *testing.B) {
	here, _ := pair(b, "tcp")
	b.ReportAllocs()
	for b.Loop() {
		if netpeek.Alive(here) != netpeek.Quiet {
			b.Fatal("not quiet")
		}
	}
}

// pgx leaves a goroutine in Read when a write has taken long.
func TestAReaderThatWaitsDoesNotHoldUpTheLook(t *testing.T) {
	t.Parallel()
	networks(t, func(t trial) {
		read := make(chan struct{})
		entered := make(chan struct{})
		go func() {
			defer close(read)
			close(entered)
			_, _ = t.here.Read(make([]byte, 1))
		}()
		<-entered
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			for range 10_000 { // the reader is waiting before long
				if got := netpeek.Alive(t.here); got != netpeek.Quiet {
					t.Errorf("state = %v, want quiet", got)
					return
				}
			}
		}()
		select {
		case <-looked:
		case <-time.After(10 * time.Second):
			t.Error("the look waits for the reader")
		}
		_ = t.there.Close()
		<-read
		<-looked
		becomes(t.T, t.here, netpeek.Closed)
	})
}
