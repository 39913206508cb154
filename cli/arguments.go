package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// parseArgs reads a JSON array; "" means no arguments.
func parseArgs(text string) ([]any, error) {
	var args []any
	return args, parseJSON(text, &args, "array like [2, 3]")
}

// parseKwargs reads a JSON object; "" means no arguments.
func parseKwargs(text string) (map[string]any, error) {
	var kwargs map[string]any
	return kwargs, parseJSON(text, &kwargs, `object like {"x": 2}`)
}

// parseJSON reads one JSON value. Numbers stay as they are written, so that large integers keep their digits.
func parseJSON(text string, dst any, shape string) error {
	if text == "" {
		return nil
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	err := dec.Decode(dst)
	if err == nil {
		if _, extra := dec.Token(); errors.Is(extra, io.EOF) {
			return nil
		}
		return fmt.Errorf("there is more behind the JSON %s: %s", strings.Fields(shape)[0], pointAt(text, dec.InputOffset()))
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON, %w: %s", err, pointAt(text, syntax.Offset-1))
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("wanted is a JSON %s, not %s", shape, cutText(text))
	}
	return fmt.Errorf("not JSON, it ends too early: %s", pointAt(text, int64(len(text))))
}

// pointAt says at which character the fault is and shows the text around it.
func pointAt(text string, offset int64) string {
	at := int(min(max(offset, 0), int64(len(text))))
	before, after := text[:at], text[at:]
	character := utf8.RuneCountInString(before) + 1
	const around = 20
	if r := []rune(before); len(r) > around {
		before = "…" + string(r[len(r)-around:])
	}
	if r := []rune(after); len(r) > around {
		after = string(r[:around]) + "…"
	}
	return fmt.Sprintf("at character %d, %s«here»%s", character, before, after)
}

func cutText(text string) string {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(text)) == nil {
		text = compact.String()
	}
	if r := []rune(text); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return text
}
