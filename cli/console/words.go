package console

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// record is a log record whose attributes can be asked for.
type record struct {
	message string
	attrs   []slog.Attr
}

// value is the text of the last attribute of this key; "" when there is none.
func (r record) value(key string) string {
	for _, a := range slices.Backward(r.attrs) {
		if a.Key == key {
			return text(a.Value)
		}
	}
	return ""
}

// process is what stands for Celery's process name: the slot that the record comes from, else the main process.
func (r record) process() string {
	if slot := r.value("slot"); slot != "" {
		return "Slot-" + slot
	}
	return "MainProcess"
}

// text is the message: the lines of tasks in the words of celery/app/trace.py and celery/worker/request.py, everything else as it is,
// with its attributes behind it.
func (r record) text() string {
	if id := r.value("id"); id != "" {
		if words := r.celery(r.value("task") + "[" + id + "]"); words != "" {
			return words
		}
	}
	var b strings.Builder
	b.WriteString(r.message)
	for _, a := range r.attrs {
		if a.Key != "traceback" && a.Key != "slot" {
			b.WriteString(" " + a.Key + "=" + quote(text(a.Value)))
		}
	}
	return b.String()
}

// celery returns the message about a task, name[id], in Celery's words; "" when Celery has none.
func (r record) celery(name string) string {
	switch r.message {
	case "task received":
		return "Task " + name + " received"
	case "task succeeded":
		return "Task " + name + " succeeded in " + r.seconds("runtime") + ": " + r.value("result")
	case "task failed":
		return "Task " + name + " raised unexpected: " + r.value("error")
	case "task retried":
		words := "Task " + name + " retry: Retry in " + r.seconds("retry_in")
		if err := r.value("error"); err != "" {
			words += ": " + err
		}
		return words
	case "task ignored":
		return "Task " + name + " ignored"
	case "task rejected":
		return "Task " + name + " reject requeue=" + python(r.value("requeue")) + ": " + r.value("error")
	case "task expired", "task revoked":
		words := "Discarding revoked task: " + name
		if stamp := r.value("stamp"); stamp != "" {
			words += " (revoked by header: " + stamp + ")"
		}
		return words
	case "tasks were flagged as revoked":
		return "Tasks flagged as revoked: " + r.value("id")
	case "task is terminated":
		return "Terminating " + r.value("id") + " (" + r.value("signal") + ")"
	case "task terminated":
		return "Task " + name + " terminated after " + r.seconds("runtime")
	case "soft time limit exceeded":
		return "Soft time limit (" + r.seconds("limit") + ") exceeded for " + name
	case "hard time limit exceeded":
		return "Hard time limit (" + r.seconds("limit") + ") exceeded for " + name
	}
	return ""
}

// seconds is a number of seconds with its unit: "2s", "0.0735s".
func (r record) seconds(key string) string {
	for _, a := range slices.Backward(r.attrs) {
		if a.Key == key && a.Value.Kind() == slog.KindFloat64 {
			var room [32]byte
			return string(append(strconv.AppendFloat(room[:0], a.Value.Float64(), 'f', -1, 64), 's'))
		}
	}
	value := strings.TrimSuffix(r.value(key), "s")
	if f, err := strconv.ParseFloat(value, 64); err == nil {
		value = strconv.FormatFloat(f, 'f', -1, 64)
	}
	return value + "s"
}

// python is a boolean as Python prints it.
func python(value string) string {
	if value == "true" {
		return "True"
	}
	return "False"
}

// quote puts a text in quotes when it would not be read as one word.
func quote(s string) string {
	if s == "" || strings.ContainsAny(s, " =\"\n\t") {
		return strconv.Quote(s)
	}
	return s
}
