package result

import "errors"

// ErrClosed is returned by a Backend after Close.
var ErrClosed = errors.New("result store is closed")
