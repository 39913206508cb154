// Command bare is the limit: the bare client, amqp091-go, with acknowledgements coalesced by half the prefetch (at most 128), or after
// a millisecond when fewer come, and bodies decoded. As a sender it writes the messages that Celery's apply_async would send, each
// confirmed. Of the order's pool it knows "N channels".
//
// Of visits it is the limit of consuming: it reads them and stores nothing.
package main

import "github.com/seed-399731e2/taskq/bench/internal/subject"

func main() {
	subject.Main("bare", subject.Roles{Work: work, Open: open, StoresItself: true})
}
