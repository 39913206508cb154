package cli

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/seed-399731e2/taskq/canvas"
	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/internal/workflow"
	"github.com/seed-399731e2/taskq/task"
)

// planned is a message of a plan as -o json prints it.
type planned struct {
	Call      string          `json:"call"`
	Signature json.RawMessage `json:"signature"`
	Then      []string        `json:"then,omitempty"`
	Chord     string          `json:"chord,omitempty"`
	Group     int             `json:"group,omitempty"` // tasks that the chord waits for
}

// showPlan prints the messages that a workflow starts with. Ids are made up when it is sent, and are left out.
func (s *Session) showPlan(name string) error {
	sig, err := s.readWorkflow(name)
	if err != nil {
		return err
	}
	plan := workflow.New(workflow.Origin{})
	if _, err := plan.Start(sig); err != nil {
		return Exit(Usage, errors.New(cause(err.Error())))
	}
	sizes := map[string]int{}
	for _, chord := range plan.Chords {
		sizes[chord.Header.ID] = len(chord.Header.Tasks())
	}
	table := Table{Header: []string{"", "CALL", "OPTIONS", "THEN"}}
	list := make([]planned, len(plan.Calls))
	for i, call := range plan.Calls {
		p, options, err := planOf(call, sizes)
		if err != nil {
			return err
		}
		then := strings.Join(p.Then, " | ")
		if p.Chord != "" {
			waits := "with its group"
			if p.Group > 0 {
				waits = "when all of " + strconv.Itoa(p.Group) + " have ended"
			}
			then = joinTexts(then, waits+": "+p.Chord)
		}
		list[i] = p
		table.Rows = append(table.Rows, []string{strconv.Itoa(i + 1), p.Call, options, then})
	}
	table.Data = list
	return s.Print(table)
}

// planOf describes a call; sizes are those of the chords, by the id of their group.
func planOf(call task.Signature, sizes map[string]int) (planned, string, error) {
	p := planned{Call: callText(call, nothing)}
	for _, step := range call.Chain {
		p.Then = append(p.Then, canvas.Repr(step))
	}
	for s := &call; s != nil; {
		if s.Chord != nil {
			p.Chord, p.Group = canvas.Repr(*s.Chord), sizes[s.GroupID]
		}
		if s.Chord != nil || len(s.Chain) == 0 {
			break
		}
		s = &s.Chain[len(s.Chain)-1]
	}
	raw, err := wire.EncodeSignature(call, codec.JSON{})
	p.Signature = json.RawMessage(raw)
	call.ID, call.GroupID = "", ""
	return p, strings.Join(optionsText(call), "  "), err
}
