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
	for _, module := range pythonModules() {
		note(FindModule(ctx, found, module)) // all of them when there is no Python: its installation brings none
	}
	return missing
}

// pythonModules are those that tests need besides celery.
func pythonModules() []string {
	return []string{"redis", "msgpack", "cryptography", "zstandard", "django_celery_results", "psycopg2"}
}
