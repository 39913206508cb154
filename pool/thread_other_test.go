//go:build !linux

package pool_test

// thread is unknown here.
func thread() int { return 0 }
