package workflow

import (
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/task"
)

// Followers are the calls that a message says are to come after its task.
type Followers struct {
	Links    []task.Signature // once it has succeeded
	Errbacks []task.Signature // once it has failed
	Chain    []task.Signature // the steps that are left, the next one first
	Chord    *task.Signature  // the body of the chord whose header the task belongs to; nil when it belongs to none
}

// Succeed adds the calls that follow a success: the links, then the next step of the chain. Each has the result in front of its own
// arguments.
func (p *Plan) Succeed(f Followers, result codec.Raw) error {
	args := []any{result}
	if err := p.link(f.Links, args); err != nil {
		return err
	}
	if len(f.Chain) == 0 {
		return nil
	}
	next := f.Chain[0]
	next.Chain = f.Chain[1:] // an empty one at the end, as in Celery
	return p.start(next, args, "chain")
}

// link adds the links: a single one as it is; of several, the groups each by itself and the others as one group.
func (p *Plan) link(links []task.Signature, args []any) error {
	if len(links) == 1 {
		return p.start(links[0], args, "link")
	}
	var plain []task.Signature
	for i, s := range links {
		if s.Type != "group" {
			plain = append(plain, s)
			continue
		}
		if err := p.start(s, args, at("link", i)); err != nil {
			return err
		}
	}
	if plain == nil {
		return nil
	}
	return p.start(groupOfAll(plain), args, "links")
}

// Fail adds the calls that follow a failure: one group, each with the task's id in front of its own arguments.
func (p *Plan) Fail(f Followers, id codec.Raw) error {
	if len(f.Errbacks) == 0 {
		return nil
	}
	_, err := p.apply(groupOfAll(f.Errbacks), []any{id}, "errors")
	return err
}

func groupOfAll(calls []task.Signature) task.Signature {
	return task.Signature{Task: "celery.group", Type: "group", Tasks: calls}
}
