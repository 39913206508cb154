//go:build !unix

package instance

import (
	"errors"
	"syscall"
)

var errNotUnix = errors.New("instance: private servers need a Unix system")

func attributes(string) (*syscall.SysProcAttr, error) { return nil, errNotUnix }

func own(string, string) error { return errNotUnix }
