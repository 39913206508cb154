package cli

import (
	"strings"
	"testing"
)

func TestOnlyATrailingNumberIsAWeight(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, name string
		weight     int
	}{
		{"mail", "mail", 0},
		{"mail:5", "mail", 5},
		{"a:b", "a:b", 0},
		{"a:b:5", "a:b", 5},
		{"v:2:1", "v:2", 1},
		{"mail:", "mail:", 0},
		{"mail:5x", "mail:5x", 0},
		{"mail:-5", "mail:-5", 0},
		{"mail: 5", "mail: 5", 0},
		{":a", ":a", 0},
		{"邮件:10000", "邮件", 10000},
	} {
		name, weight, err := queueWeight(tt.text)
		if err != nil || name != tt.name || weight != tt.weight {
			t.Errorf("%q = %q, %d, %v; want %q, %d", tt.text, name, weight, err, tt.name, tt.weight)
		}
	}
	for text, want := range map[string]string{
		":5": "a weight without a queue", "mail:0": "write mail:0:1", "mail:10001": "from 1 to 10000", "mail:99999999999999999999": "from 1 to 10000",
	} {
		if _, _, err := queueWeight(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "worker.queues") {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}
