//go:build unix && !aix

package netpeek

import (
	"errors"
	"net"
	"syscall"
)

func look(c net.Conn) State {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return Unknown
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return stateOf(err)
	}
	state := Unknown
	// Control and not Read, which waits for whoever else reads: a driver may leave a reader of its own behind, as pgx does after a
	// write that took long.
	err = raw.Control(func(fd uintptr) { state = recv(int(fd)) })
	if err != nil {
		return stateOf(err)
	}
	return state
}

func recv(fd int) State {
	var one [1]byte
	for {
		n, _, err := syscall.Recvfrom(fd, one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EWOULDBLOCK):
			return Quiet
		case err != nil:
			return Closed
		case n == 0:
			return Closed // end of file
		}
		return Readable
	}
}

// stateOf tells a connection that this side has closed from one that cannot be looked at.
func stateOf(err error) State {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EINVAL) {
		return Closed
	}
	return Unknown
}
