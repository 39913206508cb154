package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/seed-399731e2/taskq/codec"
	"github.com/seed-399731e2/taskq/internal/wire"
	"github.com/seed-399731e2/taskq/task"
)

// maxWorkflowFile bounds what is read as one workflow, in bytes.
const maxWorkflowFile = 64 << 20

// readWorkflow reads a signature in Celery's JSON from a file, or from the standard input when the name is "-". Mistakes are told with
// their line and with their place in the workflow.
func (s *Session) readWorkflow(name string) (task.Signature, error) {
	text, err := s.readAll(name)
	if err != nil {
		return task.Signature{}, Exit(Usage, err)
	}
	if name == "-" {
		name = "standard input"
	}
	doc := document{name: name, text: text}
	sig, err := doc.workflow()
	if err != nil {
		return sig, Exit(Usage, err)
	}
	return sig, nil
}

func (s *Session) readAll(name string) (string, error) {
	in := s.In
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", plainPath(err)
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxWorkflowFile+1))
	switch {
	case err != nil:
		return "", plainPath(err)
	case len(data) > maxWorkflowFile:
		return "", fmt.Errorf("%s: more than %d MiB are no workflow", name, maxWorkflowFile>>20)
	}
	return string(data), nil
}

// document is a file of JSON that knows where its parts are.
type document struct {
	name, text string
}

// spot is a JSON value and where it begins.
type spot struct {
	offset  int64
	value   any // json.Delim for lists and objects
	members map[string]*spot
	items   []*spot
}

func (p *spot) list() bool   { return p.value == json.Delim('[') }
func (p *spot) object() bool { return p.value == json.Delim('{') }

// workflow reads the signature that the document is.
func (d document) workflow() (task.Signature, error) {
	if strings.TrimSpace(d.text) == "" {
		return task.Signature{}, fmt.Errorf("%s is empty: wanted is a signature in JSON, as Python's json.dumps(signature) writes it", d.name)
	}
	top, err := d.parse()
	if err == nil {
		err = d.checkSignature(top, nil)
	}
	if err != nil {
		return task.Signature{}, err
	}
	sig, err := wire.DecodeSignature(codec.Raw(d.text), codec.JSON{})
	if err == nil {
		err = plainArguments(&sig)
	}
	if err != nil {
		return sig, fmt.Errorf("%s: %s", d.name, strings.TrimPrefix(err.Error(), "wire: decode signature: "))
	}
	return sig, nil
}

// parse reads the document's one value.
func (d document) parse() (*spot, error) {
	var raw json.RawMessage
	err := json.Unmarshal([]byte(d.text), &raw) // a decoder does not tell where a mistake is
	switch syntax, ok := errors.AsType[*json.SyntaxError](err); {
	case ok && syntax.Error() == "unexpected end of JSON input":
		return nil, d.at(int64(len(d.text)), nil, "not JSON, it ends too early")
	case ok:
		return nil, d.at(syntax.Offset-1, nil, "not JSON, "+syntax.Error())
	case err != nil:
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	dec := json.NewDecoder(strings.NewReader(d.text))
	dec.UseNumber()
	return d.next(dec, 0)
}

// maxJSONDepth is far above what nested signatures need.
const maxJSONDepth = 1000

// next reads the next value.
func (d document) next(dec *json.Decoder, depth int) (*spot, error) {
	p := &spot{offset: d.skip(dec.InputOffset())}
	if depth > maxJSONDepth {
		return nil, d.at(p.offset, nil, "this nests too deep")
	}
	var err error
	if p.value, err = dec.Token(); err != nil {
		return nil, err
	}
	if p.object() {
		p.members = map[string]*spot{}
	}
	for (p.list() || p.object()) && dec.More() {
		var name any
		if p.object() {
			if name, err = dec.Token(); err != nil {
				return nil, err
			}
		}
		part, err := d.next(dec, depth+1)
		if err != nil {
			return nil, err
		}
		if key, ok := name.(string); ok {
			p.members[key] = part
		} else {
			p.items = append(p.items, part)
		}
	}
	if p.list() || p.object() {
		_, err = dec.Token() // the end
	}
	return p, err
}

// skip goes from the end of a token to the beginning of the next one.
func (d document) skip(offset int64) int64 {
	rest := d.text[min(offset, int64(len(d.text))):]
	return int64(len(d.text) - len(strings.TrimLeft(rest, " \t\r\n,:")))
}

// at is an error with its line and column, and its place in the workflow.
func (d document) at(offset int64, place []string, text string) error {
	before := d.text[:min(max(offset, 0), int64(len(d.text)))]
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	where := fmt.Sprintf("%s, line %d, column %d", d.name, line, column)
	if len(place) > 0 {
		where += " (" + strings.Join(place, ", ") + ")"
	}
	return fmt.Errorf("%s: %s", where, text)
}
