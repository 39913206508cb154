// Package netpeek looks at a connection without reading from it and without a round trip: has the other side closed it, or said
// something that nobody asked for? That is how an idle database connection shows that the server has ended it.
//
// It cannot see a peer that vanished without a word (power cut, dropped packets); only a round trip with a deadline can.
package netpeek

import "net"

// State is what a look at a connection found.
type State int

const (
	// Unknown says that this connection or this system cannot be looked at. Do a round trip.
	Unknown State = iota
	// Quiet is open as far as this side knows, and nothing to read. As an idle connection should be.
	Quiet
	// Readable has bytes to read. On an idle connection of a protocol in which the server only answers they are bad news, such as
	// PostgreSQL's 57P01 before it closes; under TLS they may be harmless records: do a round trip.
	Readable
	// Closed says that the other side has closed or reset the connection, or this side has.
	Closed
)

// String returns the name of the state in lower case.
func (s State) String() string {
	switch s {
	case Quiet:
		return "quiet"
	case Readable:
		return "readable"
	case Closed:
		return "closed"
	case Unknown:
	}
	return "unknown"
}

// wrapper is a connection around another one, as *tls.Conn is.
type wrapper interface{ NetConn() net.Conn }

// Alive looks at c, or at the connection inside when c has a NetConn method (TLS). It takes about a microsecond, reads nothing and
// never blocks, not even while another goroutine waits in a Read of c; bytes that that one has read are not seen.
func Alive(c net.Conn) State {
	for {
		w, ok := c.(wrapper)
		if !ok {
			return look(c)
		}
		c = w.NetConn()
	}
}
