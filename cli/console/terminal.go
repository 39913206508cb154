package console

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether a person sits at the other end of stream, a Reader or Writer.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) //nolint:gosec // a file descriptor is a small number
}

// WantsColor reports whether to colour what is written to w: choice is "always", "never" or "auto", which asks for a terminal that is
// not dumb and an empty NO_COLOR (https://no-color.org).
func WantsColor(choice string, w io.Writer, getenv func(string) string) bool {
	switch choice {
	case "always":
		return true
	case "never":
		return false
	}
	return IsTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}
