// Package worker takes deliveries from a broker, runs their tasks on the slots of a pool, and settles what became of them.
//
// One execution value walks through the steps, a file each: receive (decode, look up), gate (revoked? expired? too early? over its
// limits?), execution (on a slot), judge (the outcome policy, a pure function), settle. The order of settle is the guarantee: follow-ups
// published and confirmed, outcome stored, delivery settled. A crash between any two repeats work and loses none. The follow-ups are the
// retry, or what the message's links, errbacks and chain say, which workflow turns into calls, a pure function, too.
//
// The limits of a task are in permits: places (unique tasks, how many at once) and rates, each a question to a limit.Store. What may not
// start now goes back into the broker and comes again; what an execution holds is given back where it ends, in drop, or before its message
// goes where another worker may take it.
//
// Before the first step, admit asks what became of earlier deliveries. A message that came again too often is a suspect, and the
// quarantine runs it with the process for itself; it condemns what kills even so.
//
// Requests of a task that runs in batches are collected behind the gate, and one slot takes them together (batch, collector). Each is begun,
// judged and settled on its own.
//
// Back-pressure is one fact: Submit waits while the slots are busy, so no delivery is asked for, so the broker holds back what is
// beyond the prefetch.
package worker
