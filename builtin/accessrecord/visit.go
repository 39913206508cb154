package accessrecord

import (
	"time"

	"github.com/seed-399731e2/taskq/task"
)

// TaskName is the name that the task is called by.
const TaskName = "access_record"

// Stored is the task's result.
const Stored = "访问记录添加成功"

// The longest values, in characters. A table whose columns are narrower lowers them.
const (
	MaxPath      = 2048
	MaxQueryStr  = 4096
	MaxAddress   = 64
	MaxUserAgent = 1024
	MaxReferer   = 2048
	MaxSource    = 255
)

// unknown stands for an address or a user agent that was not given.
const unknown = "unknown"

// Visit is one page visit: the task's argument and a row of the table. Sent from Go, empty fields that have a default of their own
// (Address, UserAgent, ATime) are left out, so that the worker fills them in.
type Visit struct {
	Path      string    `json:"path"`                 // decoded, as Django's PATH_INFO
	QueryStr  string    `json:"query_str"`            // as sent, without the question mark
	Address   string    `json:"address,omitempty"`    // IP address of the visitor; default "unknown"
	UserAgent string    `json:"user_agent,omitempty"` // default "unknown"
	Referer   string    `json:"referer"`
	ATime     time.Time `json:"atime,omitzero"` // time of the visit; default: when the task runs
	Source    string    `json:"source"`         // country-region-city of the address
}

// Call is the task's one parameter.
type Call struct {
	Data Visit `task:"data"`
}

// Row is a stored visit.
type Row struct {
	ID int64 `json:"id"`
	Visit
}

// Remote returns the task for programs that send it and leave the storing to a worker elsewhere.
func Remote(opts ...task.Option) *task.Task[Call, string] {
	return task.Remote[Call, string](TaskName, opts...)
}

// Sample returns a plausible visit, made now.
func Sample() Visit {
	return Visit{
		Path:      "/articles/42/",
		QueryStr:  "page=2&sort=-date",
		Address:   "203.0.113.7",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		Referer:   "https://www.example.com/articles/",
		ATime:     time.Now().Truncate(time.Microsecond),
		Source:    "中国-广东-深圳",
	}
}

// text is a text field of a visit: its name in messages and tables, its place in a Visit, its longest value and its default.
type text struct {
	name  string
	of    func(*Visit) *string
	limit int
	def   string
}

// texts returns the text fields in the order of the columns.
func texts() [6]text {
	return [6]text{
		{"path", func(v *Visit) *string { return &v.Path }, MaxPath, ""},
		{"query_str", func(v *Visit) *string { return &v.QueryStr }, MaxQueryStr, ""},
		{"address", func(v *Visit) *string { return &v.Address }, MaxAddress, unknown},
		{"user_agent", func(v *Visit) *string { return &v.UserAgent }, MaxUserAgent, unknown},
		{"referer", func(v *Visit) *string { return &v.Referer }, MaxReferer, ""},
		{"source", func(v *Visit) *string { return &v.Source }, MaxSource, ""},
	}
}
