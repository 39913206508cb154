package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-399731e2/taskq/cli/config"
)

// signatureMembers are the names in a signature; chord_size is of older versions.
func signatureMembers() []string {
	return []string{"task", "args", "kwargs", "options", "subtask_type", "immutable", "chord_size"}
}

// checkSignature looks for mistakes that a worker would stumble over or pass over.
func (d document) checkSignature(p *spot, place []string) error {
	if !p.object() {
		return d.at(p.offset, place, "wanted is a signature, an object like "+linkExample)
	}
	for _, name := range slices.Sorted(maps.Keys(p.members)) {
		if !slices.Contains(signatureMembers(), name) {
			return d.at(p.members[name].offset, place, unknownName(name, signatureMembers()))
		}
	}
	name := p.members["task"]
	if name == nil {
		return d.at(p.offset, place, `"task", the name of the task, is missing`)
	}
	if text, ok := name.value.(string); !ok || text == "" {
		return d.at(name.offset, place, `"task" must be the name of a task`)
	}
	for _, shape := range []struct {
		name string
		open rune
		text string
	}{{"args", '[', "a list"}, {"kwargs", '{', "an object"}, {"options", '{', "an object"}} {
		if part := p.members[shape.name]; part != nil && part.value != nil && part.value != json.Delim(shape.open) {
			return d.at(part.offset, place, fmt.Sprintf("%q must be %s", shape.name, shape.text))
		}
	}
	if err := d.checkParts(p, place); err != nil {
		return err
	}
	return d.checkOptions(p.members["options"], place)
}

// checkParts looks at what a workflow is made of.
func (d document) checkParts(p *spot, place []string) error {
	kind, at := "", p.offset
	if part := p.members["subtask_type"]; part != nil && part.value != nil {
		kind, _ = part.value.(string)
		at = part.offset
	}
	switch kind {
	case "chain":
		return d.checkList(p, place, "tasks", "the chain has no steps", "step")
	case "group":
		return d.checkList(p, place, "tasks", "", "member")
	case "chord":
		if err := d.checkList(p, place, "header", "", "header"); err != nil {
			return err
		}
		body := argument(p, "body")
		if body == nil || body.value == nil {
			return d.at(p.offset, place, `the chord has no "body" among its kwargs`)
		}
		return d.checkSignature(body, inside(place, "body"))
	}
	if part := p.members["subtask_type"]; part != nil && part.value != nil {
		kinds := []string{"chain", "group", "chord"}
		text := fmt.Sprintf("subtask_type is %s, which is none of %s, and null for a task", jsonText(part.value), strings.Join(kinds, ", "))
		if near := config.Closest(kind, kinds); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return d.at(at, place, text)
	}
	if mapped := argument(p, "task"); mapped != nil && isMap(nameOf(p)) {
		return d.checkSignature(mapped, inside(place, "task"))
	}
	return nil
}

// checkList looks at the parts in a keyword argument; empty is what is wrong when there are none, "" for nothing.
func (d document) checkList(p *spot, place []string, name, empty, word string) error {
	list := argument(p, name)
	switch {
	case list == nil || list.value == nil:
		return d.at(p.offset, place, fmt.Sprintf("the %s has no %q among its kwargs", nameOfKind(p), name))
	case list.object() && name == "header": // of a chord, it may be one group
		return d.checkSignature(list, inside(place, word))
	case !list.list():
		return d.at(list.offset, place, fmt.Sprintf("%q must be a list of signatures", name))
	case len(list.items) == 0 && empty != "":
		return d.at(list.offset, place, empty)
	}
	for i, part := range list.items {
		if err := d.checkSignature(part, inside(place, fmt.Sprintf("%s %d", word, i+1))); err != nil {
			return err
		}
	}
	return nil
}

// checkOptions looks at the names of the options. Stamps, which stand among them, are those that stamped_headers names.
func (d document) checkOptions(p *spot, place []string) error {
	if p == nil || p.value == nil {
		return nil
	}
	known := append(linkOptions(), "chain", "chord", "retries", "replaced_task_nesting", "add_to_parent", "stamped_headers")
	var stamps []string
	if list := p.members["stamped_headers"]; list != nil {
		for _, item := range list.items {
			name, _ := item.value.(string)
			stamps = append(stamps, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.members)) {
		if !slices.Contains(known, name) && !slices.Contains(stamps, name) {
			return d.at(p.members[name].offset, inside(place, "options"), unknownName(name, known))
		}
	}
	return d.checkFollowers(p, place)
}

// checkFollowers looks at the signatures among the options.
func (d document) checkFollowers(p *spot, place []string) error {
	for _, name := range []string{"link", "link_error", "chain", "chord"} {
		part := p.members[name]
		switch {
		case part == nil || part.value == nil:
		case !part.list():
			if err := d.checkSignature(part, inside(place, name)); err != nil {
				return err
			}
		default:
			for i, item := range part.items {
				if err := d.checkSignature(item, inside(place, fmt.Sprintf("%s %d", name, i+1))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func argument(p *spot, name string) *spot {
	if kwargs := p.members["kwargs"]; kwargs != nil {
		return kwargs.members[name]
	}
	return nil
}

func nameOf(p *spot) string {
	name, _ := p.members["task"].value.(string)
	return name
}

func nameOfKind(p *spot) string {
	kind, _ := p.members["subtask_type"].value.(string)
	return kind
}

func inside(place []string, part string) []string { return append(slices.Clip(place), part) }

func jsonText(v any) string {
	if text, ok := v.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(v)
}
