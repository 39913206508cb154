package postgres

import (
	"testing"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// FuzzDecode reads rows as anybody may have written them.
func FuzzDecode(f *testing.F) {
	f.Add("SUCCESS", "utf-8", `{"sum": 3}`, `{"children": [[["c", null], null]], "stamped_headers": ["a"], "a": 1}`, `"(1,)"`)
	f.Add("FAILURE", "binary", "bnVsbA==", "e30=", "W10=")
	f.Add("PROGRESS", "", "", "null", "[1, 2]")
	f.Fuzz(func(t *testing.T, status, encoding, result, meta, args string) {
		m, err := decode(row{
			id: "id", status: status, contentType: "application/json", contentEncoding: encoding,
			result: &result, meta: &meta, args: &args, kwargs: &args,
		}, codec.NewSet(codec.JSON{}))
		if m.ID != "id" || m.State != task.State(status) {
			t.Errorf("%+v, %v", m, err)
		}
		if err != nil || encoding == "binary" {
			return
		}
		r, err := (&layout{}).encode(m)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if value(r.result) != result {
			t.Errorf("result %q became %q", result, value(r.result))
		}
	})
}
