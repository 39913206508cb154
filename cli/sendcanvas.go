package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-399731e2/taskq"
	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/task"
)

// canvasFlags are the flags of `send` that go with --canvas. The others are the options of one call, which a workflow has in its file.
func canvasFlags() []string {
	return []string{"canvas", "wait", "timeout", "task-id", "link", "link-error", "no-retry", "publish-retries"}
}

// sendWorkflow sends what --canvas names.
func (f *sendFlags) sendWorkflow(ctx context.Context, s *Session, args []string) error {
	sig, timeout, err := f.workflow(s, args)
	if err != nil {
		return err
	}
	app, err := s.App()
	if err != nil {
		return err
	}
	sending, cancel := context.WithTimeout(ctx, connectWait+time.Duration(countCalls(sig))*perCall)
	defer cancel()
	result, err := app.Send(sending, sig)
	if err != nil {
		return s.sendError(err)
	}
	s.saveWorkflow(sending, app, result.Ref())
	s.Log.Info("workflow sent", "task", sig.Task, "id", result.ID())
	switch {
	case f.wait:
		return s.await(ctx, result, timeout, false)
	case s.JSON():
		return s.printJSON(struct {
			Workflow string `json:"workflow"`
			reference
		}{canvas.Repr(sig), references([]task.Ref{result.Ref()})[0]})
	}
	return printLine(s.Out, result.ID())
}

// perCall is what the sending of one more call may take.
const perCall = 10 * time.Millisecond

// workflow reads the file, and what the flags add to it.
func (f *sendFlags) workflow(s *Session, args []string) (task.Signature, time.Duration, error) {
	if len(args) > 0 {
		return task.Signature{}, 0, Exit(Usage, fmt.Errorf("unexpected argument %q: with --canvas, the file says what is sent", args[0]))
	}
	var others []string
	s.command.Flags().Visit(func(flag *pflag.Flag) {
		if len(flag.Annotations[groupKey]) > 0 && !slices.Contains(canvasFlags(), flag.Name) {
			others = append(others, "--"+flag.Name)
		}
	})
	slices.Sort(others)
	if len(others) > 0 {
		return task.Signature{}, 0, Exit(Usage, fmt.Errorf("%s and --canvas do not go together: write it into the workflow, for the tasks that it is meant for",
			strings.Join(others, " and ")))
	}
	timeout, err := seconds("--timeout", f.timeout)
	if err != nil {
		return task.Signature{}, 0, err
	}
	if f.noRetry && f.publishRetriesChanged() {
		return task.Signature{}, 0, Exit(Usage, errors.New("--no-retry and --publish-retries do not go together: give one of them"))
	}
	sig, err := s.readWorkflow(f.canvas)
	if err != nil {
		return sig, 0, err
	}
	keeps := sig.Given
	sig = sig.With(f.plain()...)
	if sig.Type != "" { // what --wait asks for is a task's option
		sig.Given = keeps
	}
	if err := f.followers(&sig, time.Now()); err != nil {
		return sig, 0, err
	}
	if err := sig.Validate(); err != nil {
		return sig, 0, Exit(Usage, err)
	}
	return sig, timeout, nil
}

// countCalls is how many calls a workflow is made of, about.
func countCalls(s task.Signature) int {
	n := 1 + len(s.Link) + len(s.LinkError)
	for _, part := range s.Tasks {
		n += countCalls(part)
	}
	return n
}

// saveWorkflow keeps what the workflow is made of, for `result`: a store does not know by itself what belongs to a group, nor what
// follows one. A group is kept under its id, another workflow as the one member of a group that has the id of its last task. What cannot
// be kept is missing in trees, and nowhere else.
func (s *Session) saveWorkflow(ctx context.Context, app *taskq.App, ref task.Ref) {
	if !ref.Group && ref.Parent == nil {
		return
	}
	if !ref.Group {
		ref = task.Ref{ID: ref.ID, Group: true, Members: []task.Ref{ref}}
	}
	for _, group := range groupsIn(ref) {
		switch err := app.SaveGroup(ctx, task.ResultAt[any](group, nil)); {
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, task.ErrNoResults):
			return
		case err != nil:
			s.Log.Warn("workflow was not kept for `result --tree`", "id", ref.ID, "error", err)
			return
		}
	}
}

// groupsIn are the groups that a result tuple names.
func groupsIn(ref task.Ref) []task.Ref {
	var groups []task.Ref
	if ref.Group {
		groups = append(groups, ref)
	}
	for _, member := range ref.Members {
		groups = append(groups, groupsIn(member)...)
	}
	if ref.Parent != nil {
		groups = append(groups, groupsIn(*ref.Parent)...)
	}
	return groups
}
