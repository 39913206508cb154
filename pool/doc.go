// Package pool runs jobs on slots.
package pool
