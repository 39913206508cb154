package instance_test

import (
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

const patience = 10 * time.Second // for what must happen

func TestCutResetsAndCloseConnectionsEndsInOrder(t *testing.T) {
	t.Parallel()
	line := newLine(t)
	line.proxy.Cut()
	if _, err := read(line.client, 1); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after Cut the client reads %v, want a reset", err)
	}
	line = newLine(t)
	line.proxy.CloseConnections()
	if _, err := read(line.client, 1); !errors.Is(err, io.EOF) {
		t.Errorf("after CloseConnections the client reads %v, want the end", err)
	}
	if n := line.proxy.Connections(); n != 0 {
		t.Errorf("%d connections left, want 0", n)
	}
}

func TestStallOfOneDirectionLeavesTheOther(t *testing.T) {
	t.Parallel()
	for _, d := range []instance.Direction{instance.ToServer, instance.ToClient} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			line := newLine(t)
			line.proxy.Stall(d)
			line.send(t, d, "held")
			line.send(t, 1-d, "free")
			line.expect(t, 1-d, "free")
			line.expectSilence(t, d)
			line.resume(t)
			line.expect(t, d, "held")
		})
	}
}

func TestTruncateLetsExactlySoManyBytesThrough(t *testing.T) {
	t.Parallel()
	for _, d := range []instance.Direction{instance.ToServer, instance.ToClient} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			line := newLine(t)
			line.send(t, d, "before")
			line.expect(t, d, "before")
			line.proxy.Truncate(d, 70_001)
			go func() { _, _ = io.WriteString(line.sender(d), strings.Repeat("x", 200_000)) }() // ends with the connection
			_ = line.receiver(d).SetReadDeadline(time.Now().Add(patience))
			got, err := io.ReadAll(line.receiver(d))
			if len(got) != 70_001 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes arrived, then %v; want 70001 and the end", len(got), err)
			}
			if _, err := read(line.sender(d), 1); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the sender reads %v, want its connection reset", err)
			}
		})
	}
}

func TestCorruptChangesOneByte(t *testing.T) {
	t.Parallel()
	line := newLine(t)
	line.proxy.Corrupt(instance.ToClient, 3)
	line.send(t, instance.ToClient, "abcdef")
	line.expect(t, instance.ToClient, "abc\x9bef")
	line.send(t, instance.ToClient, "abcdef")
	line.expect(t, instance.ToClient, "abcdef")
}

func TestHalfCloseEndsOneDirection(t *testing.T) {
	t.Parallel()
	line := newLine(t)
	line.proxy.HalfClose(instance.ToClient)
	if _, err := read(line.client, 1); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end", err)
	}
	line.send(t, instance.ToClient, "nobody hears this")
	line.send(t, instance.ToServer, "on it goes")
	line.expect(t, instance.ToServer, "on it goes")
}

func TestDelayAndLimitTakeTime(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(*instance.Proxy){
		"delay": func(p *instance.Proxy) { p.Delay(instance.ToServer, 200*time.Millisecond, 50*time.Millisecond) },
		"limit": func(p *instance.Proxy) { p.Limit(instance.ToServer, 50_000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := newLine(t)
			slow(line.proxy)
			text := strings.Repeat("x", 10_000)
			begin := time.Now()
			line.send(t, instance.ToServer, text)
			line.expect(t, instance.ToServer, text)
			if took := time.Since(begin); took < 140*time.Millisecond {
				t.Errorf("10 kB took %v, want 150 ms at least", took)
			}
			line.resume(t)
			line.send(t, instance.ToServer, "quick")
			line.expect(t, instance.ToServer, "quick")
		})
	}
}

func TestDelayHoldsManyBytesAtOnce(t *testing.T) {
	t.Parallel()
	line := newLine(t)
	line.proxy.Delay(instance.ToServer, 100*time.Millisecond, 0)
	begin := time.Now()
	for range 50 {
		line.send(t, instance.ToServer, "a message")
	}
	line.expect(t, instance.ToServer, strings.Repeat("a message", 50))
	if took := time.Since(begin); took > 50*100*time.Millisecond {
		t.Errorf("50 messages took %v: each waited for the one before", took)
	}
}

func TestBlackHoleSwallowsNewConnectionsOnly(t *testing.T) {
	t.Parallel()
	line := newLine(t)
	line.proxy.BlackHole()
	lost := dial(t, line.proxy)
	_ = lost.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := lost.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read out of the black hole: %v, want a timeout", err)
	}
	line.send(t, instance.ToServer, "still here")
	line.expect(t, instance.ToServer, "still here")
	line.resume(t)
	if _, err := read(lost, 1); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after Resume the lost connection reads %v, want its end", err)
	}
}

func TestBytesAreCountedByDirection(t *testing.T) {
	t.Parallel()
	line := newLine(t)
	line.send(t, instance.ToServer, "12345")
	line.expect(t, instance.ToServer, "12345")
	line.send(t, instance.ToClient, "123")
	line.expect(t, instance.ToClient, "123")
	if up, down := line.proxy.Bytes(instance.ToServer), line.proxy.Bytes(instance.ToClient); up != 5 || down != 3 {
		t.Errorf("%d bytes to the server and %d to the client, want 5 and 3", up, down)
	}
}

// line is one connection through a proxy, with both its ends.
type line struct {
	proxy          *instance.Proxy
	client, server net.Conn
}

func newLine(t *testing.T) line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	proxy, err := instance.StartProxy("tcp://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	client := dial(t, proxy)
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	l := line{proxy, client, server}
	for deadline := time.Now().Add(patience); proxy.Connections() == 0; runtime.Gosched() { // accepted is not yet carried
		if time.Now().After(deadline) {
			t.Fatal("the proxy does not carry the connection")
		}
	}
	return l
}

func dial(t *testing.T, proxy *instance.Proxy) net.Conn {
	t.Helper()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (l line) receiver(d instance.Direction) net.Conn {
	if d == instance.ToServer {
		return l.server
	}
	return l.client
}

func (l line) sender(d instance.Direction) net.Conn { return l.receiver(1 - d) }

func (l line) send(t *testing.T, d instance.Direction, text string) {
	t.Helper()
	if _, err := io.WriteString(l.sender(d), text); err != nil {
		t.Fatal(err)
	}
}

func (l line) expect(t *testing.T, d instance.Direction, want string) {
	t.Helper()
	if got, err := read(l.receiver(d), len(want)); got != want {
		t.Errorf("%s arrived %q, %v; want %q", d, got, err, want)
	}
}

func (l line) expectSilence(t *testing.T, d instance.Direction) {
	t.Helper()
	_ = l.receiver(d).SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := l.receiver(d).Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: read %v, want a timeout", d, err)
	}
}

func (l line) resume(t *testing.T) {
	t.Helper()
	if err := l.proxy.Resume(); err != nil {
		t.Fatal(err)
	}
}

func read(conn net.Conn, n int) (string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	data := make([]byte, n)
	got, err := io.ReadFull(conn, data)
	return string(data[:got]), err
}
