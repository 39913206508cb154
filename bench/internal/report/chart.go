package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/bench/internal/result"
)

// The measures of the chart, in pixels of a page that shows it in full width.
const (
	chartWidth = 920
	labelWidth = 250 // of the names on the left
	rateLeft   = labelWidth + 20
	cpuLeft    = 590
	barLength  = 205 // of the longest bar; its figure stands behind it
	barHeight  = 18
	rowHeight  = 46
	rowsTop    = 92 // where the first row begins
	footHeight = 50 // for the legend
)

// style has the colours for light and for dark surroundings. The background is the chart's own, so that it can be read where a page and
// the reader's system disagree.
const style = `<style>
text { font: 14px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.ground { fill: #ffffff }
.big { font-size: 17px; font-weight: 600 }
.head, .name { font-weight: 600 }
.small { font-size: 12.5px; fill: #59636e }
.axis { stroke: #d1d9e0 }
.bare { fill: #59636e }
.ours { fill: #0969da }
.peer { fill: #8c959f }
.servers { opacity: 0.4 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.ground { fill: #0d1117 }
.small { fill: #9198a1 }
.axis { stroke: #3d444d }
.bare { fill: #c3cad2 }
.ours { fill: #4493f8 }
.peer { fill: #7d8590 }
}
</style>
`

// chart is the headline as an image: what each system does in a second, and what it costs.
func chart(measures []result.Measure) string {
	var shown []result.Measure
	for _, m := range measures {
		if m.Failed == "" && m.Rate > 0 {
			shown = append(shown, m)
		}
	}
	slices.SortStableFunc(shown, func(a, b result.Measure) int {
		return cmp.Or(cmp.Compare(order(a.Subject), order(b.Subject)), cmp.Compare(b.Rate, a.Rate)) // the others by what they do
	})
	height := rowsTop + max(len(shown), 1)*rowHeight + footHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n%s", chartTitle, markup(describe(shown)), style)
	fmt.Fprintf(&b, "<rect class=\"ground\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", chartWidth, height)
	put(&b, 20, 34, "big", chartTitle)
	put(&b, rateLeft, 72, "head", "tasks per second")
	put(&b, cpuLeft, 72, "head", "CPU per task, µs")
	drawRows(&b, shown)
	drawLegend(&b, height-footHeight+20)
	b.WriteString("</svg>\n")
	return b.String()
}

const chartTitle = "A queue of no-op tasks is drained, results off"

func drawRows(b *strings.Builder, shown []result.Measure) {
	if len(shown) == 0 {
		put(b, 20, rowsTop+20, "small", "Nothing was measured.")
		return
	}
	fastest, dearest := 0.0, 0.0
	for _, m := range shown {
		fastest, dearest = max(fastest, m.Rate), max(dearest, m.CPU[result.OfSubject]+servers(m))
	}
	for i, m := range shown {
		y := rowsTop + i*rowHeight
		put(b, 20, y+13, "name", name(m.Subject))
		put(b, 20, y+30, "small", cut(m.Setting, labelWidth/7))
		bar(b, "", m, rateLeft, y+4, m.Rate/fastest)
		put(b, rateLeft+length(m.Rate/fastest)+7, y+18, "", rate(m.Rate))
		if dearest == 0 || m.CPU[result.OfSubject] == 0 {
			put(b, cpuLeft+7, y+18, "", none)
			continue
		}
		program, all := m.CPU[result.OfSubject]/dearest, (m.CPU[result.OfSubject]+servers(m))/dearest
		bar(b, "servers ", m, cpuLeft, y+4, all)
		bar(b, "", m, cpuLeft, y+4, program)
		put(b, cpuLeft+length(all)+7, y+18, "", costs(m))
	}
	for _, x := range []int{rateLeft, cpuLeft} {
		fmt.Fprintf(b, "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", x, rowsTop-6, x, rowsTop+len(shown)*rowHeight-12)
	}
}

// costs is the CPU of the program, and that of the servers.
func costs(m result.Measure) string {
	if servers(m) == 0 {
		return amount(m.CPU[result.OfSubject])
	}
	return amount(m.CPU[result.OfSubject]) + " + " + amount(servers(m))
}

func drawLegend(b *strings.Builder, y int) {
	entries := []struct {
		class, text string
		width       int
	}{{"bare", "the limit", 95}, {"ours", "taskq", 75}, {"peer", "others", 0}}
	x := rateLeft
	for _, e := range entries {
		fmt.Fprintf(b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" rx=\"2\"/>\n", e.class, x, y)
		put(b, x+18, y+11, "small", e.text)
		x += e.width
	}
	fmt.Fprintf(b, "<rect class=\"ours\" x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" rx=\"2\"/>\n", cpuLeft, y)
	put(b, cpuLeft+18, y+11, "small", "program")
	fmt.Fprintf(b, "<rect class=\"servers ours\" x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" rx=\"2\"/>\n", cpuLeft+85, y)
	put(b, cpuLeft+103, y+11, "small", "+ servers (broker, database)")
}

// servers is the CPU of everything but the program. The processes are added in one order: sums of fractions depend on it.
func servers(m result.Measure) float64 {
	return m.CPU[result.OfRabbitMQ] + m.CPU[result.OfRedis] + m.CPU[result.OfPostgres]
}

// describe says what the chart shows, for those who do not see it.
func describe(shown []result.Measure) string {
	lines := make([]string, 0, len(shown))
	for _, m := range shown {
		who := name(m.Subject)
		if m.Setting != "" {
			who += " (" + m.Setting + ")"
		}
		lines = append(lines, fmt.Sprintf("%s: %s tasks per second, %s µs of CPU per task", who, rate(m.Rate), costs(m)))
	}
	return cmp.Or(strings.Join(lines, "; "), "Nothing was measured") + "."
}

func length(part float64) int { return int(part*barLength + 0.5) }

func bar(b *strings.Builder, class string, m result.Measure, x, y int, part float64) {
	colour := map[string]string{result.Bare: "bare", result.Taskq: "ours"}[m.Subject]
	fmt.Fprintf(b, "<rect class=\"%s%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", class, cmp.Or(colour, "peer"), x, y, max(length(part), 1), barHeight)
}

func put(b *strings.Builder, x, y int, class, text string) {
	if class != "" {
		class = fmt.Sprintf(" class=%q", class)
	}
	fmt.Fprintf(b, "<text%s x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, markup(text))
}

// markup is a text that came from a run, as XML shows it unchanged.
func markup(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(plain(text))) // a Builder takes everything
	return b.String()
}

// cut shortens a text to n characters.
func cut(text string, n int) string {
	runes := []rune(plain(text))
	if len(runes) <= n {
		return string(runes)
	}
	return string(runes[:n-1]) + "…"
}
