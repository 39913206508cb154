package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// parseJSON reads the text of a setting that consists of tables.
func (k Key) parseJSON(text string) ([]Entry, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the end")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w; wanted are %s", err, k.form())
	}
	if value, err = plainNumbers(value, k.Name); err != nil {
		return nil, err
	}
	return k.entries(value, k.Name)
}

// plainNumbers turns the numbers of JSON into what TOML makes of them, in place, and refuses null, which TOML does not have.
func plainNumbers(value any, path string) (any, error) {
	var err error
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		n, err := v.Float64()
		if err != nil {
			return nil, &fieldError{path, fmt.Errorf("the number %s is too large", v)}
		}
		return n, nil
	case map[string]any:
		for name := range v {
			if v[name], err = plainNumbers(v[name], joinPath(path, name)); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = plainNumbers(v[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
	case nil:
		return nil, &fieldError{path, errors.New("null is no value; leave the key out")}
	}
	return value, nil
}

// jsonText writes what TOML was read into as JSON.
func jsonText(value any, path string) (string, error) {
	value, err := jsonValue(value, path)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(value)
	return string(text), err
}

// jsonValue returns the value as JSON can have it, floats with their point.
func jsonValue(value any, path string) (any, error) {
	var err error
	switch v := value.(type) {
	case string, bool, int64:
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, &fieldError{path, errors.New("the number is infinite or none")}
		}
		return json.Number(showFloat(v)), nil
	case map[string]any:
		all := make(map[string]any, len(v))
		for name := range v {
			if all[name], err = jsonValue(v[name], joinPath(path, name)); err != nil {
				return nil, err
			}
		}
		return all, nil
	case []any:
		all := make([]any, len(v))
		for i := range v {
			if all[i], err = jsonValue(v[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return nil, &fieldError{path, errors.New("the value is neither text, number, true, false, array nor table")}
}

func showFloat(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// showValue writes a value as in a file, on one line.
func showValue(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case float64:
		return showFloat(v)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = showValue(item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, joinPath("", name)+" = "+showValue(v[name]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return fmt.Sprint(value)
}
