package instance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// layOutHome makes a RabbitMQ home with links to the parts that the node needs, and returns its server script. Erlang looks for
// each of a thousand modules in every part in turn: without the plugins that are off, a start costs half. An
// installation laid out differently is used as it is.
func (r *RabbitMQ) layOutHome() (program string, err error) {
	script, err := filepath.EvalSymlinks(r.program)
	if err != nil {
		return "", fmt.Errorf("instance: find RabbitMQ's files: %w", err)
	}
	scripts := filepath.Dir(script)
	parts := findParts(filepath.Join(filepath.Dir(scripts), "plugins"))
	needed := map[string]string{}
	for _, root := range append(r.plugins(), "rabbit") {
		if parts[root] == "" {
			return r.program, nil
		}
		collect(root, parts, needed)
	}
	home := r.path("home")
	if err := os.MkdirAll(filepath.Join(home, "plugins"), 0o700); err != nil {
		return "", fmt.Errorf("instance: make RabbitMQ's home: %w", err)
	}
	for name, dir := range needed {
		if err := os.Symlink(dir, filepath.Join(home, "plugins", filepath.Base(dir))); err != nil {
			return "", fmt.Errorf("instance: link %s: %w", name, err)
		}
	}
	if err := os.Symlink(scripts, filepath.Join(home, "sbin")); err != nil {
		return "", fmt.Errorf("instance: link RabbitMQ's scripts: %w", err)
	}
	return filepath.Join(home, "sbin", filepath.Base(script)), nil
}

// findParts returns the directories of Erlang applications, named like "rabbit-3.10.8", by name.
func findParts(plugins string) map[string]string {
	descriptions, _ := filepath.Glob(filepath.Join(plugins, "*", "ebin", "*.app")) // the pattern is well formed
	parts := map[string]string{}
	for _, path := range descriptions {
		parts[strings.TrimSuffix(filepath.Base(path), ".app")] = filepath.Dir(filepath.Dir(path))
	}
	return parts
}

// collect adds a part and, from its description, all that it needs; what is not among the parts comes with Erlang.
func collect(name string, parts, needed map[string]string) {
	dir := parts[name]
	if dir == "" || needed[name] != "" {
		return
	}
	needed[name] = dir
	description, _ := os.ReadFile(filepath.Join(dir, "ebin", name+".app")) // without one it needs nothing
	list := regexp.MustCompile(`(?s)\{\s*applications\s*,\s*\[(.*?)\]`).FindSubmatch(description)
	if list == nil {
		return
	}
	for _, word := range regexp.MustCompile(`[a-z][a-z0-9_]*`).FindAllString(string(list[1]), -1) {
		collect(word, parts, needed)
	}
}
