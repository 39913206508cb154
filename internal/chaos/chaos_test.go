package chaos_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-399731e2/taskq/internal/chaos"
	"github.com/seed-399731e2/taskq/internal/testserver"
)

func TestMain(m *testing.M) {
	if chaos.IsWorker() { // this program once more, started by a case
		os.Exit(chaos.RunWorker())
	}
	os.Exit(m.Run())
}

// Not parallel to others: it counts the goroutines of this process.
func TestNothingIsLostWhateverBreaks(t *testing.T) {
	world := &chaos.World{Dir: t.TempDir(), SQLite: true}
	t.Cleanup(func() {
		if err := world.Close(); err != nil {
			t.Error(err)
		}
	})
	suite := &chaos.Suite{World: world, Seed: 1, Out: t.Output()}
	results, err := suite.Run(t.Context(), chaos.ShortCases())
	testserver.Started(t, "RabbitMQ", err)
	for _, r := range results {
		for _, problem := range r.Verdict.Problems {
			t.Errorf("%s: %s", r.Case.Name, problem)
		}
		if r.Verdict.Accepted < 30 {
			t.Errorf("%s: %d tasks accepted, which proves little", r.Case.Name, r.Verdict.Accepted)
		}
	}
}

func TestEveryCaseSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range append(chaos.Cases(chaos.SoakTime), chaos.ShortCases()...) {
		if c.Name == "" || seen[c.Name] || c.Fault == "" {
			t.Errorf("case %q has no name of its own or no fault", c.Name)
		}
		seen[c.Name] = true
		if (c.Run == nil) == (c.Impossible == "") {
			t.Errorf("case %s must either run or say why it cannot", c.Name)
		}
	}
}

func TestResultsGoBetweenTheMarks(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) error {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v := chaos.Verdict{Accepted: 7, Problems: []string{"1 lost"}, Lost: []string{"x"}}
		cases := []chaos.Case{{Name: "cut", Fault: "a cut"}, {Name: "flood", Fault: "a flood", Impossible: "no water"}}
		return chaos.Write(page, cases, []*chaos.Result{{Case: cases[0], Verdict: &v}}, "Seed 5")
	}
	const begin, end = "<!-- results: written by make chaos -->", "<!-- end of the results -->"
	if err := write("before\n" + begin + "\nold\n" + end + "\nafter\n"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n", begin, "Seed 5", "| `cut` | a cut |", "**fails**: 1 lost", "- a flood: no water.", end + "\nafter\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Error("the old results are still there")
	}
	if err := write("no marks"); err == nil {
		t.Error("a page without marks was written to")
	}
}
