package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// name is what readers call a subject.
func name(subject string) string {
	switch subject {
	case result.Bare:
		return "bare client"
	case result.Celery:
		return "Celery"
	case result.River:
		return "River"
	case result.Pgx:
		return "pgx alone"
	}
	return subject
}

// order is the place of a subject in tables: the limit first, then ours, then the others by name.
func order(subject string) int {
	return cmp.Or(slices.Index([]string{result.Bare, result.Pgx, result.Taskq}, subject)+1, 4)
}

// sorted are the measures variant by variant, in the order in which the variants were measured first.
func sorted(measures []result.Measure) []result.Measure {
	var variants []string
	for _, m := range measures {
		if !slices.Contains(variants, m.Variant) {
			variants = append(variants, m.Variant)
		}
	}
	all := slices.Clone(measures)
	slices.SortStableFunc(all, func(a, b result.Measure) int {
		return cmp.Or(cmp.Compare(slices.Index(variants, a.Variant), slices.Index(variants, b.Variant)),
			cmp.Compare(order(a.Subject), order(b.Subject)), cmp.Compare(a.Subject, b.Subject))
	})
	return all
}

// bareRates are the rates of the bare client by variant.
func bareRates(measures []result.Measure) map[string]float64 {
	rates := map[string]float64{}
	for _, m := range measures {
		if m.Subject == result.Bare && m.Failed == "" {
			rates[m.Variant] = m.Rate
		}
	}
	return rates
}

// measured is the table of some measures. Its columns are those for which there is something.
func measured(measures []result.Measure, per string) table {
	t := table{columns: []column{
		{head: "variant"},
		{head: "system"},
		{head: "setting"},
		{per + "/s", true},
		{"× bare", true},
		{"CPU µs: program", true},
		{"RabbitMQ", true},
		{"Redis", true},
		{"PostgreSQL", true},
		{"allocations", true},
		{"peak memory", true},
		{"p50", true},
		{"p99", true},
		{"p99.9", true},
		{"measured", true},
		{"of", true},
		{head: "note"},
	}}
	bare := bareRates(measures)
	for _, m := range sorted(measures) {
		if m.Failed != "" { // there are no figures, whatever was counted until then
			m = result.Measure{Variant: m.Variant, Subject: m.Subject, Setting: m.Setting, Note: m.Note, Failed: m.Failed}
		}
		toBare := none
		if bare[m.Variant] > 0 && m.Rate > 0 && m.Waits == nil && m.Subject != result.Bare {
			toBare = ratio(m.Rate / bare[m.Variant])
		}
		row := []string{
			m.Variant, name(m.Subject), m.Setting, rate(m.Rate), toBare, amount(m.CPU[result.OfSubject]), amount(m.CPU[result.OfRabbitMQ]),
			amount(m.CPU[result.OfRedis]), amount(m.CPU[result.OfPostgres]), amount(m.Allocs), size(m.Memory),
		}
		t.rows = append(t.rows, append(append(row, waits(m.Waits)...), figure(m.Figure, m.Unit), sample(m), note(m)))
	}
	return t.withoutEmpty()
}

func waits(w *result.Waits) []string {
	if w == nil {
		return []string{none, none, none}
	}
	return []string{wait(w.P50), wait(w.P99), wait(w.P999)}
}

// sample says how many tasks a figure is from.
func sample(m result.Measure) string {
	switch {
	case m.Tasks == 0:
		return none
	case m.Runs > 1:
		return fmt.Sprintf("%d × %s", m.Runs, count(m.Tasks))
	}
	return count(m.Tasks)
}

func note(m result.Measure) string {
	var notes []string
	if m.Failed != "" {
		notes = append(notes, "failed: "+m.Failed)
	}
	if m.Twice > 0 {
		notes = append(notes, count(m.Twice)+" ran twice")
	}
	if m.Note != "" {
		notes = append(notes, m.Note)
	}
	return strings.Join(notes, "; ")
}
