package testserver_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestProxyCarriesStallsAndResumes(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, startEcho(t))
	conn := dialTCP(t, proxy)
	say(t, conn, "one")
	proxy.Stall()
	if _, err := io.WriteString(conn, "two\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read from a stalled proxy: %v, want a timeout", err)
	}
	proxy.Resume()
	if got := hear(t, conn); got != "two" {
		t.Errorf("after Resume heard %q, want two", got)
	}
}

func TestProxyCutsAndAcceptsAgain(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, startEcho(t))
	conn := dialTCP(t, proxy)
	say(t, conn, "one")
	proxy.Cut()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived Cut")
	}
	if n := proxy.Connections(); n != 0 {
		t.Errorf("%d connections after Cut, want 0", n)
	}
	say(t, dialTCP(t, proxy), "again")
}

func TestProxyRefusesUntilResume(t *testing.T) {
	t.Parallel()
	proxy := testserver.StartProxy(t, startEcho(t))
	conn := dialTCP(t, proxy)
	proxy.Refuse()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlived Refuse")
	}
	if refused, err := net.Dial("tcp", host(t, proxy)); err == nil {
		_ = refused.Close()
		t.Error("a refusing proxy accepted a connection")
	}
	proxy.Resume()
	say(t, dialTCP(t, proxy), "back")
}

// startEcho starts a server that repeats what it hears.
func startEcho(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return "tcp://" + listener.Addr().String()
}

func host(t *testing.T, proxy *testserver.Proxy) string {
	t.Helper()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func dialTCP(t *testing.T, proxy *testserver.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", host(t, proxy))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func say(t *testing.T, conn net.Conn, word string) {
	t.Helper()
	if _, err := io.WriteString(conn, word+"\n"); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, conn); got != word {
		t.Errorf("said %q, heard %q", word, got)
	}
}

func hear(t *testing.T, conn net.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line[:len(line)-1]
}
