package fetch_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	fetch "github.com/seed-399731e2/taskq/examples/retries"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/task"
	"github.com/seed-399731e2/taskq/taskqtest"
)

// site answers one request after the other with these statuses.
type site struct {
	statuses []int
	times    []time.Time
}

func (s *site) RoundTrip(*http.Request) (*http.Response, error) {
	s.times = append(s.times, time.Now())
	status := s.statuses[min(len(s.times), len(s.statuses))-1]
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Retry-After": {"3600"}}, Body: io.NopCloser(strings.NewReader("")),
	}, nil
}

func TestTheTaskIsTriedAsItsErrorsSay(t *testing.T) {
	for name, c := range map[string]struct {
		url      string
		statuses []int
		tries    int
		want     task.State
		atLeast  time.Duration // until it has ended
	}{
		"at once":                  {"http://a.example", []int{200}, 1, task.Success, 0},
		"after two failures":       {"http://a.example", []int{0, 503, 200}, 3, task.Success, 0},
		"when the server says so":  {"http://a.example", []int{429, 200}, 2, task.Success, time.Hour},
		"never":                    {"http://a.example", []int{503}, 6, task.Failure, 0},
		"not at all":               {"http://a example", nil, 0, task.Failure, 0},
		"a no that is no accident": {"http://a.example", []int{404}, 1, task.Success, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &site{statuses: c.statuses}
				pages := fetch.New(&http.Client{Transport: s})
				app := taskqtest.New(t, taskq.Config{}, pages)
				start := time.Now()
				result, err := pages.Send(t.Context(), app, fetch.Page{URL: c.url})
				if err != nil {
					t.Fatal(err)
				}
				app.Run(t)
				state, err := result.State(t.Context())
				if err != nil || state != c.want || len(s.times) != c.tries || time.Since(start) < c.atLeast {
					t.Errorf("%s after %d tries and %s, %v; want %s after %d", state, len(s.times), time.Since(start), err, c.want, c.tries)
				}
			})
		})
	}
}
