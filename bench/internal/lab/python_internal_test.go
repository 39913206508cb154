package lab

import (
	"strings"
	"testing"
)

func TestAnotherCeleryIsNotMeasuredInsteadOfTheNamedOne(t *testing.T) {
	t.Parallel()
	l := &Lab{cfg: Config{Python: "/nowhere/python3"}, built: map[string]string{}}
	found, err := l.python(t.Context())
	if err == nil || !strings.Contains(err.Error(), "celery") {
		t.Errorf("got %q, %v; want an error", found, err)
	}
}
