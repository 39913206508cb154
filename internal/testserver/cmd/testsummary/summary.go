package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// event is one line of "go test -json"; the fields are described by "go doc test2json" and, for builds, by "go help buildjson".
type event struct {
	Action      string
	Package     string
	ImportPath  string // in place of Package in the events of a build
	Test        string
	Output      string
	Elapsed     float64 // in seconds
	FailedBuild string  // ImportPath of the build that kept the package from being tested
}

// summary counts tests, subtests included.
type summary struct {
	out                     io.Writer
	passed, broken, skipped int
	packages, untested      int
	packagesFailed          int
	running                 map[string]*packageRun // by package
	builds                  map[string]string      // by import path: what the compiler wrote
	skips                   []string
	failures                []string
}

// packageRun is a package that is being tested.
type packageRun struct {
	passed, broken, skipped int
	cached                  bool
	output                  map[string]*strings.Builder // by top-level test; "" is the package's own
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, running: map[string]*packageRun{}, builds: map[string]string{}}
}

// read takes in the events of one go test, to the end.
func (s *summary) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			s.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
}

// line takes in one line. What is no event is what the go command itself had to say, and is passed on.
func (s *summary) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil || e.Action == "" {
		fmt.Fprintf(s.out, "%s", line)
		return
	}
	switch {
	case e.Action == "build-output":
		s.builds[e.ImportPath] += e.Output
	case e.Package == "":
	case e.Test != "":
		s.test(e)
	default:
		s.pkg(e)
	}
}

func (s *summary) run(name string) *packageRun {
	if s.running[name] == nil {
		s.running[name] = &packageRun{output: map[string]*strings.Builder{}}
	}
	return s.running[name]
}

func (s *summary) test(e event) {
	r := s.run(e.Package)
	switch e.Action {
	case "output":
		top, _, _ := strings.Cut(e.Test, "/")
		r.write(top, e.Output)
	case "pass":
		r.passed++
		s.passed++
	case "fail":
		r.broken++
		s.broken++
		s.failures = append(s.failures, e.Package+" "+e.Test)
	case "skip":
		r.skipped++
		s.skipped++
		s.skips = append(s.skips, e.Package+" "+e.Test)
	}
	if top, _, nested := strings.Cut(e.Test, "/"); !nested && (e.Action == "pass" || e.Action == "skip") {
		delete(r.output, top)
	}
}

func (s *summary) pkg(e event) {
	r := s.run(e.Package)
	switch e.Action {
	case "output":
		r.cached = r.cached || strings.Contains(e.Output, "(cached)")
		r.write("", e.Output)
		return
	case "pass":
		s.packages++
		fmt.Fprintf(s.out, "ok    %s  %s\n", e.Package, r.figures(e.Elapsed))
	case "skip":
		s.untested++
	case "fail":
		s.packages++
		s.packagesFailed++
		s.show(e, r)
	default:
		return
	}
	delete(s.running, e.Package)
}

// show prints everything that the failed tests of a package wrote, and what belongs to none of them: a panic, a leak found at
// the end, what the compiler said.
func (s *summary) show(e event, r *packageRun) {
	fmt.Fprintf(s.out, "FAIL  %s  %s\n", e.Package, r.figures(e.Elapsed))
	if e.FailedBuild != "" {
		fmt.Fprint(s.out, indent(s.builds[e.FailedBuild]))
	}
	if r.broken == 0 { // the package failed as a whole
		s.broken++
		s.failures = append(s.failures, e.Package)
	}
	for _, test := range slices.Backward(slices.Sorted(maps.Keys(r.output))) { // "", the package's own, at the end
		fmt.Fprint(s.out, indent(r.output[test].String()))
	}
}

func (r *packageRun) write(test, output string) {
	for _, noise := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME", "--- PASS"} {
		if strings.HasPrefix(strings.TrimLeft(output, " "), noise) {
			return
		}
	}
	if r.output[test] == nil {
		r.output[test] = new(strings.Builder)
	}
	r.output[test].WriteString(output)
}

func (r *packageRun) figures(seconds float64) string {
	if r.cached {
		return fmt.Sprintf("%d passed (cached)", r.passed)
	}
	text := fmt.Sprintf("%d passed", r.passed)
	if r.broken > 0 {
		text += fmt.Sprintf(", %d failed", r.broken)
	}
	if r.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.skipped)
	}
	return fmt.Sprintf("%s  %.1f s", text, seconds)
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "      " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n      ") + "\n"
}

// failed says whether anything has failed so far.
func (s *summary) failed() bool { return s.broken > 0 || s.packagesFailed > 0 }

// interrupted notes that go test did not come to its end.
func (s *summary) interrupted(reason string) {
	s.broken++
	s.failures = append(s.failures, reason)
}

// finish prints the figures of the run.
func (s *summary) finish(took time.Duration) {
	for name := range s.running { // go test ended before they did
		s.packages++
		s.packagesFailed++
		s.interrupted(name + " did not come to its end")
	}
	fmt.Fprintln(s.out)
	for _, name := range s.skips {
		fmt.Fprintln(s.out, "skipped:", name)
	}
	for _, name := range s.failures {
		fmt.Fprintln(s.out, "failed: ", name)
	}
	fmt.Fprintf(s.out, "%d packages tested, %d of them failed, %d without tests, in %.0f s\n",
		s.packages, s.packagesFailed, s.untested, took.Seconds())
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.passed, s.broken, s.skipped)
}
