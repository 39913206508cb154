// Package outbox keeps messages in a table of PostgreSQL until they may go to the broker: once the transaction that wrote them is
// committed, and once their time has come. Insert writes them, in whatever transaction the caller has open; a Relay, one at a time for
// each table, publishes them. A row is deleted when the broker has confirmed its message, so that each committed row becomes one message,
// or several with the same content when a process or a server dies in between.
//
// The package knows nothing of tasks but their ids and names, to list them. docs/outbox.md tells how it is used.
package outbox
