package result

import "errors"

// Errors of a Backend. Test with errors.Is.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("result store is closed")
	// ErrInvalid is wrapped by errors about an outcome that the store cannot keep, now or later: it is too large, or encoded otherwise.
	ErrInvalid = errors.New("outcome cannot be kept")
	// ErrUnavailable is wrapped by errors about a store that cannot be reached, or cannot work now.
	ErrUnavailable = errors.New("result store is unavailable")
	// ErrAccess is wrapped by errors about credentials, permissions and set-up of a store.
	ErrAccess = errors.New("result store refused access")
)
