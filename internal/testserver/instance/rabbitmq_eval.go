package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Version is the server's version, such as "3.10.8".
func (r *RabbitMQ) Version(ctx context.Context) (string, error) {
	quoted, err := r.Eval(ctx, "rabbit_misc:version()")
	return strings.Trim(quoted, `"`), err
}

// Eval runs an Erlang expression on the node and returns its value as Erlang prints it. It takes milliseconds, where
// rabbitmqctl, which starts an Erlang system of its own, takes a second or two.
func (r *RabbitMQ) Eval(ctx context.Context, expression string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.node == nil {
		return "", errors.New("instance: evaluate: the node does not run")
	}
	r.calls++
	answer := r.path(fmt.Sprintf("answer-%d", r.calls))
	// written elsewhere and renamed, so that the file is complete once it is there; in a function, so that its variables are its own
	line := fmt.Sprintf(`Value%[1]d = try {value, (fun() -> %[2]s end)()} catch Class%[1]d:Reason%[1]d -> {Class%[1]d, Reason%[1]d} end, `+
		`ok = file:write_file("%[3]s.part", io_lib:format("~tp", [Value%[1]d])), ok = file:rename("%[3]s.part", "%[3]s").`+"\n",
		r.calls, expression, answer)
	if err := r.node.Write(line); err != nil {
		return "", err
	}
	var text []byte
	err := r.node.await(ctx, func(context.Context) (err error) {
		text, err = os.ReadFile(answer)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("instance: evaluate %s: %w\n%s", expression, err, tail(r.path("output")))
	}
	_ = os.Remove(answer) // Close removes it otherwise
	value, ok := strings.CutPrefix(string(text), "{value,")
	if !ok {
		return "", fmt.Errorf("instance: evaluate %s: %s", expression, text)
	}
	return strings.TrimSuffix(value, "}"), nil
}
