package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// section is one table of the page, and the measures that it is of.
type section struct {
	title    string
	scenario string
	key      string // what is varied: the part of the variant before "="; "" takes what no other section of the scenario takes
	about    string // one or two sentences above the table
	per      string // what is counted: tasks, messages, rows
}

// sections are the tables below the headline, in the order of the page. What is measured and has no section here ends in the last one.
func sections() []section {
	return []section{
		{"Results", result.Drain, "results", "The drain again, with each outcome stored. taskq has what goes over rpc confirmed by the broker; the bare client and Celery do not wait for that.", "tasks"},
		{"Events", result.Drain, "events", "The drain again, with events sent and one listener.", "tasks"},
		{"Slots", result.Drain, "slots", "The drain with more and fewer slots; the prefetch grows with them from 60 on.", "tasks"},
		{"Pools", result.Drain, "pool", "The drain in each pool of taskq.", "tasks"},
		{"Queues", result.Drain, "queues", "The drain from several queues at once.", "tasks"},
		{"Channels", result.Drain, "channels", "The drain by several channels of the bare client.", "tasks"},
		{"Kinds of tasks", result.Drain, "names", "The drain with several tasks registered, which come in turn.", "tasks"},
		{"Quorum queues", result.Drain, "queue", "The drain of a quorum queue; the others are of classic ones.", "tasks"},
		{"Logs", result.Drain, "log", "The drain with a worker that writes two lines for each task, as it does without any setting.", "tasks"},
		{"Tasks in the queue", result.Drain, "queued", "The drain of shorter and longer queues.", "tasks"},
		{"Size of the arguments", result.Drain, "body", "The drain with padded arguments.", "tasks"},
		{"Sending", result.Send, "", "A fresh queue that nothing consumes. taskq and the bare client wait for the broker's confirms; Celery asks for none.", "messages"},
		{"From sending to starting", result.Latency, "", "Tasks are sent at a steady rate, by each system's own client, and each notes when it starts.", "tasks"},
		{
			"Visits", result.Visit, "",
			"`access_record`, one row of PostgreSQL for each task, committed synchronously. Beside it stand the bare client, which stores nothing, and pgx, which consumes nothing. These two run at the same time and share the cores; alone, each is faster.", "rows",
		},
		{"Tasks that are due in an hour", result.Delay, "", "They are parked in the broker, not kept in the worker.", "tasks"},
		{"After SIGKILL", result.Recovery, "", "From the death of the worker that runs a task until it runs in another one.", "tasks"},
		{"The embedded store", result.Embedded, "", "One SQLite file, two processes.", "tasks"},
		{"Start", result.Start, "", "From exec to ready.", "starts"},
		{"Idle", result.Idle, "", "A worker that is connected and has nothing to do.", "tasks"},
		{"The program", result.Binary, "", "As it is released, with every broker and store in it.", "programs"},
	}
}

// key is what a variant varies.
func key(variant string) string {
	k, _, ok := strings.Cut(variant, "=")
	if !ok {
		return ""
	}
	return k
}

// split gives each section its measures, and returns what is left. The headline and the knobs have places of their own.
func split(run result.Run, all []section) (parts [][]result.Measure, rest []result.Measure) {
	parts = make([][]result.Measure, len(all))
	for _, m := range run.Measures {
		if m.Scenario == result.Knobs || isHeadline(m) {
			continue
		}
		own := func(s section) bool { return s.scenario == m.Scenario && s.key == key(m.Variant) }
		of := func(s section) bool { return s.scenario == m.Scenario && s.key == "" }
		i := slices.IndexFunc(all, own)
		if i < 0 {
			i = slices.IndexFunc(all, of)
		}
		if i < 0 {
			rest = append(rest, m)
			continue
		}
		parts[i] = append(parts[i], m)
	}
	return parts, rest
}

func isHeadline(m result.Measure) bool {
	return m.Scenario == result.Drain && m.Variant == result.Headline
}

// headline are the measures of the drain in which nothing is varied.
func headline(run result.Run) []result.Measure {
	return sorted(slices.DeleteFunc(slices.Clone(run.Measures), func(m result.Measure) bool { return !isHeadline(m) }))
}

// chapter is a titled table.
type chapter struct {
	title, about string
	table        table
}

// chapters are the tables below the headline for which there is something.
func chapters(run result.Run) []chapter {
	all := sections()
	parts, rest := split(run, all)
	var list []chapter
	for i, s := range all {
		if len(parts[i]) > 0 {
			list = append(list, chapter{s.title, s.about, measured(parts[i], s.per)})
		}
	}
	for _, scenario := range names(rest) {
		of := slices.DeleteFunc(slices.Clone(rest), func(m result.Measure) bool { return m.Scenario != scenario })
		list = append(list, chapter{"Others: " + scenario, "", measured(of, "tasks")})
	}
	return list
}

// names are the scenarios of the measures, each once.
func names(measures []result.Measure) []string {
	var all []string
	for _, m := range measures {
		if !slices.Contains(all, m.Scenario) {
			all = append(all, m.Scenario)
		}
	}
	return all
}

// knobs are the tables of the page about tuning, by knob. How many queues there are is varied among the drains already.
func knobs(run result.Run) map[string]table {
	by := map[string][]result.Measure{}
	for _, m := range run.Measures {
		k := key(m.Variant)
		if m.Scenario == result.Knobs || m.Scenario == result.Drain && k == "queues" && m.Subject == result.Taskq {
			by[k] = append(by[k], m)
		}
	}
	tables := map[string]table{}
	for k, measures := range by {
		slices.SortStableFunc(measures, func(a, b result.Measure) int { return cmp.Compare(number(a.Variant), number(b.Variant)) })
		tables[k] = measured(measures, "tasks")
	}
	return tables
}

// number is the value of a variant that is one. The others, 0, stay in the order in which they were measured.
func number(variant string) int {
	_, value, _ := strings.Cut(variant, "=")
	n, _ := strconv.Atoi(value)
	return n
}
