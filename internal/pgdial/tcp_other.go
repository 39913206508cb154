//go:build !linux

package pgdial

import "syscall"

// limitUnacknowledged does nothing: keepalive and the time limit of each try find dead peers here.
func limitUnacknowledged(string, string, syscall.RawConn) error { return nil }
