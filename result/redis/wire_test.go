package redis_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/testserver"
	"github.com/seed-399731e2/taskq/result"
	"github.com/seed-399731e2/taskq/result/redis"
	"github.com/seed-399731e2/taskq/task"
)

// recording is what Celery left in Redis after a scenario, and the commands on the way there.
type recording struct {
	Keys map[string]struct {
		Type  string
		Value json.RawMessage
	}
	Monitor []string
}

func record(t *testing.T, path string) recording {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func recordings(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../internal/wire/testdata/redis/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	return files
}

// text returns the value of a string key, decoded; "" for a key of another type.
func (r recording) text(t *testing.T, key string) string {
	t.Helper()
	var text string
	if r.Keys[key].Type != "string" {
		return ""
	}
	if err := json.Unmarshal(r.Keys[key].Value, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// value reads JSON for a comparison that does not see the order of keys nor spaces.
func value(t *testing.T, doc string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(doc))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	if m, ok := v.(map[string]any); ok {
		if done, ok := m["date_done"].(string); ok && !strings.HasSuffix(done, "+00:00") {
			m["date_done"] = done + "+00:00" // Celery before 5.5 leaves it out
		}
	}
	return v
}

func TestWhatCeleryKeptIsReadAndKeptTheSame(t *testing.T) {
	t.Parallel()
	address := testserver.Redis(t)
	b := opened(t, redis.Config{URL: address})
	compared := 0
	for _, file := range recordings(t) {
		r := record(t, file)
		for key := range r.Keys {
			doc := r.text(t, key)
			if !strings.HasPrefix(doc, "{") {
				continue
			}
			do(t, address, "SET", key, doc)
			if err := rewrite(t, b, address, key); err != nil {
				t.Errorf("%s: %s: %v", file, key, err)
				continue
			}
			if diff := cmp.Diff(value(t, doc), value(t, do(t, address, "GET", key))); diff != "" {
				t.Errorf("%s: %s (-Celery's +ours):\n%s", file, key, diff)
			}
			do(t, address, "DEL", key)
			compared++
		}
	}
	if compared < 100 {
		t.Errorf("only %d documents were compared", compared)
	}
}

// rewrite reads what is kept under a key, deletes it, and has it kept again.
func rewrite(t *testing.T, b *redis.Backend, address, key string) error {
	t.Helper()
	if id, ok := strings.CutPrefix(key, "celery-task-meta-"); ok {
		m, err := b.Get(t.Context(), id)
		if err != nil {
			return err
		}
		do(t, address, "DEL", key)
		return b.Store(t.Context(), m)
	}
	group, found, err := b.Group(t.Context(), strings.TrimPrefix(key, "celery-taskset-meta-"))
	if err != nil || !found {
		return fmt.Errorf("group found: %t, %w", found, err)
	}
	do(t, address, "DEL", key)
	return b.SaveGroup(t.Context(), group)
}

func TestOutcomesAreWrittenWithCelerysCommands(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.2.6", "5.6.2", "main"} {
		r := record(t, "../../internal/wire/testdata/redis/"+version+"/success.json")
		server := testserver.StartRedis(t)
		b := opened(t, redis.Config{URL: server.URL})
		for key := range r.Keys {
			id := strings.TrimPrefix(key, "celery-task-meta-")
			server.Do("SET", "copy-"+key, r.text(t, key))
			reader := opened(t, redis.Config{URL: server.URL, KeyPrefix: "copy-"})
			m, err := reader.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			seen := monitor(t, server, func() { store(t, b, m) })
			want := commands(t, r.Monitor, "GET", "SETEX", "PUBLISH")
			want = want[len(want)-3:] // the client looks before
			if diff := cmp.Diff(want, commands(t, seen, "GET", "SETEX", "PUBLISH")); diff != "" {
				t.Errorf("%s (-Celery's +ours):\n%s", version, diff)
			}
		}
	}
}

func TestChordsAreCountedInCelerysKeys(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.2.6", "5.6.2", "main"} {
		base := "../../internal/wire/testdata/redis/" + version + "/chord_midflight"
		whole, midway := record(t, base+".json"), record(t, base+".snapshot.json")
		server := testserver.StartRedis(t)
		b := opened(t, redis.Config{URL: server.URL})
		want := bookkeeping(t, whole.Monitor)
		parts, group := chordOf(t, want)
		var ordered []task.Meta
		seen := monitor(t, server, func() {
			header := task.Ref{ID: group, Group: true}
			for _, part := range parts {
				header.Members = append(header.Members, task.Ref{ID: part.ID})
			}
			if err := b.OpenChord(t.Context(), header); err != nil {
				t.Fatal(err)
			}
			for i, part := range parts {
				got, err := b.JoinChord(t.Context(), part)
				if err != nil || (got != nil) != (i == len(parts)-1) {
					t.Fatalf("after part %d: %v, %v", i, got, err)
				}
				if got != nil {
					ordered = got.Parts
				}
				if i == 1 {
					compareChord(t, server, midway)
				}
			}
			if err := b.ForgetChord(t.Context(), group); err != nil {
				t.Fatal(err)
			}
		})
		if diff := cmp.Diff(want, bookkeeping(t, seen)); diff != "" {
			t.Errorf("%s (-Celery's +ours):\n%s", version, diff)
		}
		slices.SortFunc(parts, func(a, b result.ChordPart) int { return a.Index - b.Index })
		for i, part := range parts {
			if diff := cmp.Diff(part.ID+string(part.Result), ordered[i].ID+string(ordered[i].Result)); diff != "" {
				t.Errorf("part %d (-want +got):\n%s", i, diff)
			}
		}
		if left := server.Do("KEYS", "*"); left != "" {
			t.Errorf("left of the chord: %s", left)
		}
	}
}

// bookkeeping are the commands for a chord that leave something, and the keys that they find: without those for its tasks' outcomes, and
// without those that look: for a saved group, for a part of the same task, and from outside, as the recording and this test do midway.
// Celery's transactions are scripts here, and what they do alike is in them.
func bookkeeping(t *testing.T, lines []string) []string {
	t.Helper()
	list := commands(t, lines, "SETEX", "PUBLISH", "ZADD", "ZCOUNT", "GET", "EXPIRE", "ZRANGE", "DEL")
	var all []string
	for _, c := range list {
		key := strings.Fields(c + " -")[1]
		looks := strings.HasPrefix(c, "GET ") && !strings.HasSuffix(key, ".t") && !strings.HasSuffix(key, ".s")
		if strings.Contains(key, "task-meta-") || looks || strings.HasSuffix(c, "WITHSCORES") || strings.HasSuffix(key, ".a") {
			continue
		}
		if keys, ok := strings.CutPrefix(c, "DEL "); ok { // one by one, as Celery's
			for key := range strings.FieldsSeq(keys) {
				if !strings.HasSuffix(key, ".a") {
					all = append(all, "DEL "+key)
				}
			}
			continue
		}
		all = append(all, c)
	}
	return all
}

// chordOf returns the parts that the recorded commands note, in their order, and the group.
func chordOf(t *testing.T, commands []string) (parts []result.ChordPart, group string) {
	t.Helper()
	for _, c := range commands {
		fields := strings.SplitN(c, " ", 4)
		if fields[0] != "ZADD" {
			continue
		}
		group = strings.TrimSuffix(strings.TrimPrefix(fields[1], "celery-taskset-meta-"), ".j")
		index, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		var member []json.RawMessage
		if err := json.Unmarshal([]byte(fields[3]), &member); err != nil {
			t.Fatal(err)
		}
		id, state := strings.Trim(string(member[1]), `"`), strings.Trim(string(member[2]), `"`)
		parts = append(parts, result.ChordPart{
			Index: index, Meta: task.Meta{ID: id, State: task.State(state), Result: codec.Raw(member[3]), GroupID: group},
		})
	}
	return parts, group
}

func compareChord(t *testing.T, server *testserver.RedisServer, want recording) {
	t.Helper()
	for key, k := range want.Keys {
		switch k.Type {
		case "zset":
			var pairs [][]any
			if err := json.Unmarshal(k.Value, &pairs); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, pair := range pairs {
				lines = append(lines, fmt.Sprint(pair[0]), fmt.Sprint(pair[1]))
			}
			if got := server.Do("ZRANGE", key, "0", "-1", "WITHSCORES"); got != strings.Join(lines, "\n") {
				t.Errorf("%s is\n%s\nwant\n%s", key, got, strings.Join(lines, "\n"))
			}
		case "string":
			if got := server.Do("GET", key); strings.HasSuffix(key, ".s") && got != want.text(t, key) {
				t.Errorf("%s = %s, want %s", key, got, want.text(t, key))
			}
		}
	}
}

// commands are those of these names, with documents in one form.
func commands(t *testing.T, lines []string, names ...string) []string {
	t.Helper()
	var list []string
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		if !slices.Contains(names, name) {
			continue
		}
		if at := strings.Index(line, " {"); at >= 0 {
			doc, err := json.Marshal(value(t, line[at+1:]))
			if err != nil {
				t.Fatal(err)
			}
			line = line[:at+1] + string(doc)
		}
		list = append(list, line)
	}
	return list
}

// monitor returns the commands that the server ran while fn ran, those of scripts instead of the scripts.
func monitor(t *testing.T, server *testserver.RedisServer, fn func()) []string {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	fmt.Fprintf(conn, "AUTH %s\r\nMONITOR\r\n", mustPassword(t, server.URL))
	lines.Buffer(nil, 1<<20)
	for range 2 {
		if !lines.Scan() || lines.Text() != "+OK" {
			t.Fatalf("MONITOR: %s %v", lines.Text(), lines.Err())
		}
	}
	fn()
	server.Do("ECHO", "the end")
	var seen []string
	for lines.Scan() {
		_, rest, _ := strings.Cut(lines.Text(), "] ")
		var words []string
		for rest != "" {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				t.Fatalf("%s: %v", rest, err)
			}
			word, _ := strconv.Unquote(quoted)
			words, rest = append(words, word), strings.TrimPrefix(rest[len(quoted):], " ")
		}
		if line := strings.Join(words, " "); line == "ECHO the end" {
			return seen
		}
		seen = append(seen, strings.Join(words, " "))
	}
	t.Fatalf("the server's commands end: %v", lines.Err())
	return nil
}
