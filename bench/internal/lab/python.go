package lab

import (
	"context"
	"fmt"

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
		return "", fmt.Errorf("lab: %w", err)
	}
	if l.cfg.Python != "" && found != l.cfg.Python { // another Celery than the one that is meant
		return "", fmt.Errorf("lab: %s cannot import celery", l.cfg.Python)
	}
	l.built["python"] = found
	return found, nil
}
