package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// findModules returns the directories below root that hold a go.mod, root first.
func findModules(root string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return filepath.SkipDir
		}
		if name == "go.mod" {
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find modules: %w", err)
	}
	slices.Sort(dirs) // a directory may come before go.mod
	return dirs, nil
}

// has reports whether the module in dir has the directories that the arguments name, as ./pool and ./worker/... do.
func has(dir string, args []string) bool {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "./") {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, strings.TrimSuffix(arg, "..."))); err != nil {
			return false
		}
	}
	return true
}
