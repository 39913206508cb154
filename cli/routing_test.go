//go:build !windows

package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/cli"
)

const routingFile = `queue_max_priority = 4
default_queue = "rest"

[queues.high]
max_priority = 10

[queues.media]
exchange = "files"
exchange_type = "topic"
routing_key = "media.#"
type = "classic"
arguments = { x-overflow = "reject-publish" }
message_ttl = "1m"
expires = 7200
max_length = 1000
dead_letter_exchange = "dead"
dead_letter_routing_key = "media.dead"
durable = false
auto_delete = true
exchange_durable = false

[queues.bound]
exchange_type = "headers"

[[queues.bound.bindings]]
routing_key = "a"
arguments = { tenant = "acme" }

[[queues.bound.bindings]]
exchange = "other"
routing_key = "b"

[queues.news]
broadcast = true

[[routes]]
match = "feed.*"
queue = "feeds"
priority = 3
expires = 60
[[routes]]
regexp = "^(image|video)\\."
queue = "media"
[[routes]]
match = "quiet"
ignore_result = true
durable = false
`

// routed is an environment with those queues and routes, on an embedded store.
func routed(t *testing.T, more ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "taskq.toml")
	if err := os.WriteFile(path, []byte(routingFile+strings.Join(more, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"TASKQ_CONFIG": path, "TASKQ_BROKER_URL": "sqlite://" + filepath.Join(dir, "t.db")}
}

func TestQueuesAndRoutesAreShownOneALine(t *testing.T) {
	t.Parallel()
	env := routed(t)
	shown := regexp.MustCompile(` +`).ReplaceAllString(succeeds(t, env, "config", "--show-origin"), " ")
	wantAll(t, shown, "queues.high max_priority = 10 file "+env["TASKQ_CONFIG"]+":4\n", "queues.news broadcast = true file",
		`routes[1] regexp = "^(image|video)\\.", queue = "media" file `+env["TASKQ_CONFIG"]+":41\n", "create_missing_queues true default\n")
	env["TASKQ_ROUTES"] = `[{"match": "x", "queue": "y"}]`
	shown = regexp.MustCompile(` +`).ReplaceAllString(succeeds(t, env, "config", "--show-origin"), " ")
	wantAll(t, shown, `routes[0] match = "x", queue = "y" environment TASKQ_ROUTES`+"\n")
	if strings.Contains(shown, "routes[1]") {
		t.Errorf("the file's routes are still there:\n%s", shown)
	}
}

func TestQueuesOfTheConfigurationAreDeclaredOnDemand(t *testing.T) {
	t.Parallel()
	env := routed(t)
	env["TASKQ_DECLARE"] = "passive"
	env["TASKQ_QUEUES"] = `{"high": {"max_priority": 10}, "news": {"broadcast": true}, "media": {"exchange": "files", "exchange_type": "topic",
		"routing_key": "media.#", "type": "classic", "arguments": {"x-overflow": "reject-publish"}, "message_ttl": "1m", "expires": 7200, "max_length": 1000,
		"dead_letter_exchange": "dead", "dead_letter_routing_key": "media.dead", "durable": false, "auto_delete": true, "exchange_durable": false}}`
	if _, _, err := inProcess(t, env, "send", "feed.x", "--queue", "high"); cli.ExitCode(err) != cli.Misconfigured {
		t.Errorf("before: %v, want that the queue is missing", err)
	}
	shown := regexp.MustCompile(` +`).ReplaceAllString(succeeds(t, env, "queues", "declare"), " ")
	wantAll(t, shown, "high exchange=high(direct) key=high durable x-max-priority=10\n", "news - a broadcast",
		"media exchange=files(topic) key=media.# transient auto-delete x-dead-letter-exchange=dead x-dead-letter-routing-key=media.dead x-expires=7200000 "+
			"x-max-length=1000 x-max-priority=4 x-message-ttl=60000 x-overflow=reject-publish x-queue-type=classic\n")
	succeeds(t, env, "queues", "declare", "any")
	succeeds(t, env, "send", "feed.x", "--queue", "high")
	for name, want := range map[string]int{"high": 1, "media": 0, "any": 0} {
		q := decode[[]struct {
			Exists   bool
			Messages int
		}](t, succeeds(t, env, "queues", name, "-o", "json"))
		if len(q) != 1 || !q[0].Exists || q[0].Messages != want {
			t.Errorf("%s = %v, want %d messages", name, q, want)
		}
	}
	if shown := succeeds(t, env, "queues"); !strings.Contains(shown, "each worker has a queue of its own") {
		t.Errorf("a broadcast is shown as\n%s", shown)
	}
}

func TestRouteTellsWhereATaskGoesAndWhy(t *testing.T) {
	t.Parallel()
	env := routed(t)
	type where struct {
		Queue, Exchange string
		RoutingKey      string `json:"routing_key"`
		Priority        int
		Decided, Route  string
	}
	file := " (file " + env["TASKQ_CONFIG"]
	feeds := `routes[0], match "feed.*"` + file + ":36)"
	media := `routes[1], regexp "^(image|video)\\."` + file + ":41)"
	for args, want := range map[string]where{
		"feed.x":                         {Queue: "feeds", RoutingKey: "feeds", Priority: 3, Decided: feeds, Route: feeds},
		"feed.x --queue q --priority 1":  {Queue: "q", RoutingKey: "q", Priority: 1, Decided: "the call", Route: feeds},
		"video.cut":                      {Queue: "media", Exchange: "files", RoutingKey: "media.#", Decided: media, Route: media},
		"video.cut --routing-key media.": {Queue: "media", Exchange: "files", RoutingKey: "media.", Decided: media, Route: media},
		"other":                          {Queue: "rest", RoutingKey: "rest", Decided: "the default"},
		"other --queue news":             {Queue: "news", Exchange: "news", Decided: "the call"},
		"other --exchange e":             {Exchange: "e", Decided: "the call"},
		"quiet":                          {Queue: "rest", RoutingKey: "rest", Decided: "the default", Route: `routes[2], match "quiet"` + file + ":44)"},
	} {
		if got := decode[where](t, succeeds(t, env, append([]string{"route", "-o", "json"}, strings.Fields(args)...)...)); got != want {
			t.Errorf("route %s = %+v, want %+v", args, got, want)
		}
	}
	wantAll(t, regexp.MustCompile(` +`).ReplaceAllString(succeeds(t, env, "route", "feed.x"), " "), "queue feeds\n", "exchange (default)\n", "priority 3\n", "decided by "+feeds)
}

func TestWhatIsSentIsRoutedByTheFile(t *testing.T) {
	t.Parallel()
	env := routed(t)
	sent := decode[map[string]string](t, succeeds(t, env, "send", "feed.x", "-o", "json"))
	if sent["queue"] != "feeds" {
		t.Errorf("sent = %v, want it in feeds", sent)
	}
	sent = decode[map[string]string](t, succeeds(t, env, "send", "video.x", "-o", "json"))
	if sent["queue"] != "media" || sent["exchange"] != "files" || sent["routing_key"] != "media.#" {
		t.Errorf("sent = %v, want it in media through files", sent)
	}
	wantAll(t, succeeds(t, env, "queues", "feeds"), "feeds  1 ")
	wantAll(t, succeeds(t, env, "queues", "media"), "media  1 ")
}

func TestMistakesInQueuesAndRoutesAreFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		more string
		args string
		code int
		want []string
	}{
		{"[[routes]]\nmacth = 'x'\n", "route x", cli.Misconfigured, []string{"taskq.toml:49: routes[3].macth: unknown key", `"match"`}},
		{"[[routes]]\nqueue = 'x'\n", "route x", cli.Misconfigured, []string{"routes[3]: ", "it needs a match", "taskq.toml:48"}},
		{"[[routes]]\nregexp = '('\n", "route x", cli.Misconfigured, []string{"taskq.toml:49: routes[3].regexp:"}},
		{"[queues.a]\nexchange_type = 'x'\n", "route x", cli.Misconfigured, []string{"taskq.toml:49: queues.a.exchange_type:", "none of direct"}},
		{"[queues.a]\ntype = 'quorum'\nmax_priority = 3\n", "route x", cli.Misconfigured, []string{`queue "a"`, "takes no x-max-priority", "(queues.a, from file ", "taskq.toml:48"}},
		{"[queues.a]\nmax_priority = 300\n", "route x", cli.Misconfigured, []string{"the priority 300 is above 255"}},
		{"", "route x --queue q --exchange e", cli.Usage, []string{"do not go together"}},
		{"", "route x --routing-key k", cli.Usage, []string{"--routing-key without --exchange"}},
		{"", "send x --queue high --routing-key k", cli.Usage, []string{"has no effect on a direct queue"}},
		{"", "send x --queue news", cli.Misconfigured, []string{"broadcast news: no worker listens"}},
		{"", "queues declare --declare auto", cli.Usage, []string{"unknown flag"}},
	} {
		env := routed(t, tt.more)
		_, _, err := inProcess(t, env, strings.Fields(tt.args)...)
		if cli.ExitCode(err) != tt.code {
			t.Errorf("%s %s: exit status = %d, want %d (%v)", tt.more, tt.args, cli.ExitCode(err), tt.code, err)
			continue
		}
		wantAll(t, err.Error(), tt.want...)
	}
	env := routed(t)
	env["TASKQ_CREATE_MISSING_QUEUES"] = "false"
	env["TASKQ_ROUTES"] = `[{"match": "x", "queue": "high"}]`
	_, _, err := inProcess(t, env, "send", "x", "--queue", "hihg")
	if cli.ExitCode(err) != cli.Usage {
		t.Errorf("exit status = %d, want %d", cli.ExitCode(err), cli.Usage)
	}
	wantAll(t, err.Error(), `no queue "hihg"`, "bound, high, media, news")
}
