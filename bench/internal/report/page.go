package report

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// Modes of runs: a full one may be written into the pages, the figures of smoke are from too few tasks to mean anything.
const (
	full  = "full"
	smoke = "smoke"
)

// Write puts a full run into the pages of the repository in root: the tables and the chart of docs/performance.md, the tables of
// docs/tuning.md, and the sentence with the headline in both READMEs. What stands around them stays as it is. Nothing is written unless
// everything has its place.
func Write(root string, run result.Run) error {
	if run.Mode != full {
		return fmt.Errorf("report: a %s run is not for the pages, a full one is", run.Mode)
	}
	pages := map[string]map[string]string{
		"docs/performance.md": performance(run), "docs/tuning.md": tuning(run),
		"README.md": {"headline": english(run)}, "README.zh-CN.md": {"headline": chinese(run)},
	}
	files := map[string]string{"docs/performance.svg": chart(headline(run))}
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			return fmt.Errorf("report: read a page: %w", err)
		}
		if files[page], err = fill(string(text), pages[page]); err != nil {
			return fmt.Errorf("report: %s: %w", page, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(files[name]), 0o644); err != nil { //nolint:gosec // it is for everybody
			return fmt.Errorf("report: write a page: %w", err)
		}
	}
	return nil
}

// mark is what stands before the place of a part, and end behind each.
func mark(part string) string { return "<!-- " + part + ": written by make bench -->" }

const end = "<!-- end -->"

// fill puts each part into its place, and one sentence into the places for which there is none: what stood there is of another run.
// Tables without a place go to that of the others, if the page has one; otherwise they are an error.
func fill(page string, parts map[string]string) (string, error) {
	parts = maps.Clone(parts)
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		switch {
		case strings.Contains(page, mark(part)):
		case strings.Contains(page, mark(others)):
			parts[others] += parts[part] + "\n"
		default:
			return "", fmt.Errorf("there is no place for %s: %s … %s", part, mark(part), end)
		}
	}
	if _, ok := parts[others]; !ok {
		parts[others] = " "
	}
	var b strings.Builder
	for places := regexp.MustCompile("<!-- ([^:]+): written by make bench -->"); ; {
		at := places.FindStringSubmatchIndex(page)
		if at == nil {
			b.WriteString(page)
			return b.String(), nil
		}
		part := page[at[2]:at[3]]
		b.WriteString(page[:at[1]])
		_, after, ok := strings.Cut(page[at[1]:], end)
		if !ok {
			return "", fmt.Errorf("the place of %s has no end: %s", part, end)
		}
		text := cmp.Or(parts[part], "Not measured in this run.")
		b.WriteString("\n\n" + strings.TrimSpace(text) + "\n\n" + end)
		page = after
	}
}

// others is the place for what has none of its own.
const others = "other knobs"

// performance are the parts of docs/performance.md.
func performance(run result.Run) map[string]string {
	var scenarios strings.Builder
	for _, c := range chapters(run) {
		fmt.Fprintf(&scenarios, "### %s\n\n", c.title)
		if c.about != "" {
			scenarios.WriteString(c.about + "\n\n")
		}
		scenarios.WriteString(c.table.markdown() + "\n")
	}
	return map[string]string{
		"machine": machine(run), "headline": measured(headline(run), "tasks").markdown(), "targets": goals(run).markdown(),
		"scenarios": scenarios.String(),
	}
}

// tuning are the parts of docs/tuning.md.
func tuning(run result.Run) map[string]string {
	parts := map[string]string{}
	for knob, t := range knobs(run) {
		parts[knob] = t.markdown()
	}
	return parts
}

// machine says where, when and with what it was measured.
func machine(run result.Run) string {
	m := run.Machine
	versions := make([]string, 0, len(run.Versions))
	for _, name := range slices.Sorted(maps.Keys(run.Versions)) {
		versions = append(versions, escape(name+" "+run.Versions[name]))
	}
	said := []string{fmt.Sprintf("%s, in %s; %s, %d cores, %.0f GiB of memory, %s. %s.", run.Began.UTC().Format(time.DateOnly), wait(run.Took),
		escape(m.CPU), m.Cores, float64(m.Memory)/(1<<30), escape(m.System), strings.Join(versions, ", "))}
	for _, again := range run.Again {
		said = append(said, fmt.Sprintf("Measured again at %s, by themselves: %s.", again.Began.UTC().Format("15:04 on "+time.DateOnly),
			escape(strings.Join(again.Scenarios, ", "))))
	}
	return strings.Join(said, " ")
}

// goals is the table of targets.
func goals(run result.Run) table {
	t := table{columns: []column{{head: "what"}, {head: "target"}, {head: "measured"}, {head: "met"}}}
	for _, g := range targets() {
		v := g.judge(run)
		measured, met := v.measured, "met"
		switch {
		case !v.known:
			measured, met = none, because("not measured", missing()[g.key])
		case !v.met:
			met = because("not met", g.why(run))
		}
		t.rows = append(t.rows, []string{g.what, g.goal(), measured, met})
	}
	return t
}

func because(verdict, reason string) string {
	if reason == "" {
		return verdict
	}
	return verdict + ": " + reason
}
