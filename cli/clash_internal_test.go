package cli

import (
	"testing"

	"github.com/seed-399731e2/taskq/broker"
)

func TestCommandsThatAreShownCanBePasted(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"celery": "celery", "/": "/", "a.b-c_d:1@e": "a.b-c_d:1@e", "": "''", "two words": "'two words'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "访问": "'访问'",
	} {
		if got := quote(word); got != want {
			t.Errorf("quote(%q) = %s, want %s", word, got, want)
		}
	}
}

func TestNoModeHelpsWithAQueueOfAnotherConnection(t *testing.T) {
	t.Parallel()
	got := (&Session{}).clashSentence(&broker.DeclareError{Object: "queue", Name: "q", Vhost: "/", Locked: true, Messages: -1})
	if want := `queue "q" in vhost "/" is exclusive to another connection; wait until that ends, or use another name`; got != want {
		t.Errorf("sentence = %s\nwant %s", got, want)
	}
}
