// Package deadletter is the form of messages that went wrong: the dead letters that workers leave and the command line reads, and the
// stamp on messages whose workers died. It writes and reads headers, and does nothing else.
package deadletter
