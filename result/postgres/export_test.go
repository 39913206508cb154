package postgres

// InUse is how many connections of the pool are in use.
func (b *Backend) InUse() int { return int(b.pool.Stat().AcquiredConns()) }
