package lab

import (
	"context"

	"github.com/seed-399731e2/taskq/internal/testserver/instance"
)

// python finds the Python that has Celery, once.
func (l *Lab) python(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found := l.built["python"]; found != "" {
		return found, nil
	}
	found, err := instance.FindPython(ctx, l.cfg.Python)
	if err != nil {
		return "", err
	}
	l.built["python"] = found
	return found, nil
}
