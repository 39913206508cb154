package instance

import (
	"context"
	"errors"
)

// Missing returns what is not installed of all that instances and Python programs need; python as for FindPython.
func Missing(ctx context.Context, python string) []*MissingError {
	var missing []*MissingError
	note := func(err error) {
		if m, ok := errors.AsType[*MissingError](err); ok {
			missing = append(missing, m)
		}
	}
	note(new(RabbitMQ).find())
	_, err := postgresBin()
	note(err)
	note(new(Redis).find())
	found, err := FindPython(ctx, python)
	note(err)
	for _, module := range []string{"redis", "msgpack", "cryptography", "zstandard"} {
		note(FindModule(ctx, found, module)) // without a Python they are all missing
	}
	return missing
}
