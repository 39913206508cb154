// Package pool runs jobs on slots, and lets every slot own what its jobs need.
//
// A pool has a fixed number of slots, each a goroutine (Goroutines), a goroutine with an operating system thread of its own
// (Threads), or one goroutine in all (Solo). A slot runs one job at a time. Submit hands a job to a free slot, or waits: there is
// no queue inside, so what is not running has not been taken.
//
// A database connection must not be shared by two jobs, nor be used after the job that it was meant for. The usual ways, a map by
// "the current thread" or a value kept in a variable, break as soon as the pool is not what the author thought of. Here a
// connection belongs to a slot. A Resource opens one value per slot before the slot takes a job, looks at it between jobs, without
// a round trip, closes it when it is unusable or obsolete, and always does so on the slot's own goroutine. A job reaches the value
// through its context, and through nothing else:
//
//	err := conns.Use(ctx, func(conn *pgx.Conn) error { … })
//
// Use lends the value for one call. A goroutine that outlives its job, another slot's job, code without a slot: they all hold the
// wrong context, and get an *OwnershipError that says which slot and job the value belongs to and who asked. Two goroutines of one
// job get ErrConcurrentUse. Get hands the value out and can only check the moment it does so; a Loan is a value's right of use
// that can be handed out safely.
//
// A slot whose resources cannot be opened takes no job and tries again, for ever, with back-off; a job that was taken waits for it.
// Go cannot end a goroutine from outside: a job that does not return is given up with its slot (Slot.Abandon), and another slot
// takes the place. The package knows nothing of tasks, messages and drivers.
package pool
