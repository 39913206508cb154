// Package fetch is a task that fails in several ways, and says for each whether to try again.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// Page is the argument of the task.
type Page struct {
	URL string `task:"url"`
}

// New returns the task pages.fetch, which returns the status of a page.
func New(client *http.Client) *task.Task[Page, int] {
	return task.New("pages.fetch", func(ctx context.Context, p Page) (int, error) {
		return fetch(ctx, client, p.URL)
	}, task.Retry(task.RetryPolicy{
		Max:        5,                // after the first try
		Backoff:    2 * time.Second,  // then 4 s, 8 s, … each drawn evenly between none and all of it
		BackoffMax: 10 * time.Minute, // no pause is longer
	}))
}

func fetch(ctx context.Context, client *http.Client, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, task.Permanent(err) // no retry mends a URL that is none
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err // as the policy says
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusTooManyRequests { // the server says when to come again
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil {
			seconds = 60
		}
		return 0, task.RetryAfter(errors.New(resp.Status), time.Duration(seconds)*time.Second)
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		return 0, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return resp.StatusCode, nil
}
