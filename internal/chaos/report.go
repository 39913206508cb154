package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// The marks in the page between which the results are.
const (
	markBegin = "<!-- results: written by make chaos -->"
	markEnd   = "<!-- end of the results -->"
)

// Write puts the results of all cases into a page, between the marks.
func Write(page string, cases []Case, results []*Result, versions string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("chaos: read page: %w", err)
	}
	before, rest, ok := strings.Cut(string(text), markBegin)
	_, after, ok2 := strings.Cut(rest, markEnd)
	if !ok || !ok2 {
		return errors.New("chaos: the page has no place for the results: " + markBegin + " … " + markEnd)
	}
	full := before + markBegin + "\n\n" + table(cases, results, versions) + "\n" + markEnd + after
	if err := os.WriteFile(page, []byte(full), 0o600); err != nil {
		return fmt.Errorf("chaos: write page: %w", err)
	}
	return nil
}

// table is the results as Markdown.
func table(cases []Case, results []*Result, versions string) string {
	var b strings.Builder
	accepted, lost, failed := 0, 0, 0
	for _, r := range results {
		accepted, lost = accepted+r.Verdict.Accepted, lost+len(r.Verdict.Lost)
		if !r.Verdict.OK() {
			failed++
		}
	}
	fmt.Fprintf(&b, "%s.\n\n**%d tasks accepted in %d cases, %d lost; cases that failed: %d.**\n\n", versions, accepted, len(results), lost, failed)
	b.WriteString("| case | what breaks | queue, pool | accepted | lost | twice, of at most | connections lost | recovery | verdict |\n")
	b.WriteString("|---|---|---|--:|--:|--:|--:|--:|---|\n")
	for _, r := range results {
		v := r.Verdict
		fmt.Fprintf(&b, "| `%s` | %s | %s, %s | %d | %d | %d of %d | %d | %.1f s | %s |\n", r.Case.Name, r.Case.Fault, r.QueueType, r.Pool,
			v.Accepted, len(v.Lost), v.Duplicates, v.Allowed, r.Lost, v.Recovery.Seconds(), verdict(v))
	}
	b.WriteString("\nNot played:\n\n")
	for _, c := range cases {
		if c.Impossible != "" {
			fmt.Fprintf(&b, "- %s: %s.\n", c.Fault, c.Impossible)
		}
	}
	return b.String()
}

func verdict(v *Verdict) string {
	switch {
	case !v.OK():
		return "**fails**: " + strings.ReplaceAll(strings.Join(v.Problems, "; "), "\n", " ")
	case v.Early > 0:
		return fmt.Sprintf("holds; %d acknowledged early were cut off", v.Early)
	case v.Removed > 0:
		return fmt.Sprintf("holds; %d removed by the operator", v.Removed)
	}
	return "holds"
}

// Versions says what the results were made with.
func (w *World) Versions(ctx context.Context, seed uint64, took time.Duration) (string, error) {
	nodes, err := w.nodes(ctx, Case{})
	if err != nil {
		return "", err
	}
	rabbit, err := nodes[0].Version(ctx)
	if err != nil {
		return "", err
	}
	if _, err := w.database(ctx); err != nil {
		return "", err
	}
	store := "SQLite"
	if w.postgres != nil {
		version, err := w.postgres.Version(ctx)
		if err != nil {
			return "", err
		}
		store = "PostgreSQL " + version
	}
	if w.redis != nil {
		version, err := w.redis.Version(ctx)
		if err != nil {
			return "", err
		}
		store += ", Redis " + version
	}
	return fmt.Sprintf("Seed %d; RabbitMQ %s, %s, %s, %s/%s with %d CPUs; %.0f minutes", seed, rabbit, store,
		strings.Replace(runtime.Version(), "go", "Go ", 1), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), took.Minutes()), nil
}
