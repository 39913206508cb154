package signup_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	signup "github.com/seed-399731e2/taskq/examples/testing"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/taskqtest"
)

// server is a mail server that is busy for the first tries.
type server struct {
	busy     int
	letters  []signup.Letter
	lastTime time.Time
}

func (s *server) deliver(_ context.Context, l signup.Letter) error {
	if s.busy > 0 {
		s.busy--
		return signup.ErrBusy
	}
	s.letters, s.lastTime = append(s.letters, l), time.Now()
	return nil
}

func TestWhoSignsUpGetsTwoMails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the week passes in no time
		mails := &server{busy: 5}
		mail := signup.MailTask(mails.deliver)
		app := taskqtest.New(t, taskq.Config{}, mail)
		start := time.Now()

		if err := signup.SignUp(t.Context(), app, mail, "ada@example.org"); err != nil {
			t.Fatal(err)
		}
		taskqtest.RequireSent(t, app, mail, signup.Letter{To: "ada@example.org", Template: "welcome"})
		app.Run(t)

		if len(mails.letters) != 2 {
			t.Fatalf("delivered %v", mails.letters)
		}
		if days := mails.lastTime.Sub(start).Hours() / 24; days < 7 || days > 7.1 {
			t.Errorf("the last letter came after %.1f days", days)
		}
	})
}

func TestMailsSurviveAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mails := &server{}
		mail := signup.MailTask(mails.deliver)
		app := taskqtest.New(t, taskq.Config{}, mail)
		if err := signup.SignUp(t.Context(), app, mail, "ada@example.org"); err != nil {
			t.Fatal(err)
		}
		app.Faults.Down()
		time.AfterFunc(24*time.Hour, app.Faults.Up)
		app.Run(t)
		if len(mails.letters) != 2 {
			t.Errorf("delivered %v", mails.letters)
		}
	})
}
