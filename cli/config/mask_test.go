package config_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-399731e2/taskq/cli/config"
)

func TestMaskHidesPasswordsAndNothingElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                      "",
		"disabled://":                           "disabled://",
		"sqlite:///home/me/x.db":                "sqlite:///home/me/x.db",
		"amqp://localhost:5672//":               "amqp://localhost:5672//",
		"amqp://guest@localhost":                "amqp://guest@localhost",
		"amqp://guest:pw@localhost:5672//":      "amqp://guest:**@localhost:5672//",
		"amqp://a:p@w@host":                     "amqp://a:**@host",
		"amqp://a:p/w?x#y@host":                 "amqp://a:**@host",
		"amqp://a:p:w@host":                     "amqp://a:**@host",
		"amqp://a:pw@h1;amqp://b:qw@h2":         "amqp://a:**@h1;amqp://b:**@h2",
		"amqp://h1:5672;amqp://h2:5672":         "amqp://h1:5672;amqp://h2:5672",
		"amqp://a:p://w@host":                   "amqp://a:**@host",
		"amqp://a:p;x://w@host":                 "amqp://a:**@host",
		"amqp://a:p@;x://w@host":                "amqp://a:**@host",
		"postgres://h/db?user=a&password=p&x=y": "postgres://h/db?user=a&password=**&x=y",
		"a:pw@localhost:5672//":                 "**@localhost:5672//",
		":p://w@localhost:6379/0":               "**@localhost:6379/0",
		"localhost:5672":                        "localhost:5672",
		"host=h password=p dbname=d":            "host=h password=** dbname=d",
		"host=h password='p w' dbname=d":        "host=h password=** dbname=d",
	} {
		if got := config.MaskURL(text); got != want {
			t.Errorf("MaskURL(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestNoPasswordSurvivesTheMask(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Letters that occur nowhere else in the URL, among characters that end the parts of one.
		password := rapid.StringMatching(`[XYZ]([XYZ@;/?#:%&= ]|://){0,8}[XYZ]`).Draw(t, "password")
		url := "amqp://user:" + password + "@host:5672/vhost"
		if got := config.MaskURL(url); strings.ContainsAny(got, "XYZ") {
			t.Fatalf("MaskURL(%q) = %q", url, got)
		}
		two := url + ";" + url
		if got := config.MaskURL(two); strings.ContainsAny(got, "XYZ") {
			t.Fatalf("MaskURL(%q) = %q", two, got)
		}
		forgotten := strings.TrimPrefix(url, "amqp://")
		if got := config.MaskURL(forgotten); strings.ContainsAny(got, "XYZ") {
			t.Fatalf("MaskURL(%q) = %q", forgotten, got)
		}
	})
}
