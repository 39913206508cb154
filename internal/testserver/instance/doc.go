// Package instance starts private servers from installed binaries: RabbitMQ, PostgreSQL and Redis with directories, ports
// and passwords of their own, for one test or one run of all tests. They listen on 127.0.0.1, trade durability for speed, may be
// killed and started again, and end with the process that started them, however that ends.
package instance

import "fmt"

// MissingError says that a program which an instance needs is not installed.
type MissingError struct {
	Program string // what was looked for
	Package string // the Debian package that has it
}

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("instance: %s is not installed; on Debian: apt-get install %s", e.Program, e.Package)
}
