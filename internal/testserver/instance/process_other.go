//go:build !unix

package instance

import (
	"errors"
	"os"
	"syscall"
)

var errNotUnix = errors.New("instance: private servers need a Unix system")

func attributes(string) (*syscall.SysProcAttr, error) { return nil, errNotUnix }

func own(string, string) error { return errNotUnix }

// Pause stops a process where it is; here it cannot.
func Pause(*os.Process) error { return errNotUnix }

// Continue ends Pause.
func Continue(*os.Process) error { return errNotUnix }
