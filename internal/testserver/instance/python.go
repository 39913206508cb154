package instance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FindPython returns the path of a Python that can import celery: preferred, unless it is empty, any python3 on the search path
// (the first one is often a version manager's, without celery), or the system's.
func FindPython(ctx context.Context, preferred string) (string, error) {
	candidates := []string{preferred}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		candidates = append(candidates, filepath.Join(dir, "python3"))
	}
	for _, candidate := range append(candidates, "/usr/bin/python3") {
		if candidate != "" && exec.CommandContext(ctx, candidate, "-c", "import celery").Run() == nil {
			return candidate, nil
		}
	}
	return "", &MissingError{Program: "celery for Python 3", Package: "python3-celery"}
}

// FindModule returns an error unless a Python can import the module; python "" can import none.
func FindModule(ctx context.Context, python, module string) error {
	if python != "" && exec.CommandContext(ctx, python, "-c", "import "+module).Run() == nil {
		return nil
	}
	return &MissingError{Program: module + " for Python 3", Package: "python3-" + strings.ReplaceAll(module, "_", "-")}
}
