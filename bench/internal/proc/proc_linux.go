package proc

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ, 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// Take looks at all processes.
func Take() (Snapshot, error) {
	s := Snapshot{processes: map[int]process{}, children: map[int][]int{}}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return s, fmt.Errorf("proc: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		p, ok := parseStat(text)
		if !ok {
			return s, fmt.Errorf("proc: /proc/%d/stat is not as proc(5) says", pid)
		}
		if used, ok := clock(pid); ok {
			p.cpu += used - p.own
		}
		s.processes[pid] = p
		s.children[p.parent] = append(s.children[p.parent], pid)
	}
	return s, nil
}

// parseStat reads /proc/PID/stat. The name, in parentheses, may have spaces and parentheses in it.
func parseStat(text []byte) (process, bool) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	fields := strings.Fields(string(text[end+1:])) // from the third on, the state
	if len(fields) < 15 {
		return process{}, false
	}
	p := process{name: string(text[open+1 : end])}
	var err error
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return process{}, false
	}
	for i, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return process{}, false
		}
		p.cpu += time.Duration(n) * tick
		if i < 2 {
			p.own += time.Duration(n) * tick
		}
	}
	return p, true
}

// clock reads the CPU clock of a process, which is as good as exact; a thousand tasks take no more than a tick or two.
func clock(pid int) (used time.Duration, ok bool) {
	const scheduled = 2 // a process's clock of what the scheduler gave it, as clock_getcpuclockid(3) numbers them
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}

// Listening returns the process that listens at a TCP port and has one of the names; of several, the one that began the others. It
// returns ErrUnknown when there is none, or when it is somebody else's and its files are not shown.
func Listening(port int, names ...string) (int, error) {
	sockets, err := listeners(port)
	if err != nil {
		return 0, err
	}
	s, err := Take()
	if err != nil {
		return 0, err
	}
	found := map[int]bool{}
	for pid, p := range s.processes {
		if slices.Contains(names, p.name) && holds(pid, sockets) {
			found[pid] = true
		}
	}
	for pid := range found {
		if !found[s.processes[pid].parent] {
			return pid, nil
		}
	}
	return 0, ErrUnknown
}

// listeners are the sockets that listen at the port, as /proc/PID/fd names them.
func listeners(port int) (map[string]bool, error) {
	const listening = "0A"
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue // no IPv6
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			fields := strings.Fields(lines.Text()) // sl local_address rem_address st … inode is the tenth
			if len(fields) > 9 && fields[3] == listening && portOf(fields[1]) == port {
				sockets["socket:["+fields[9]+"]"] = true
			}
		}
		err = lines.Err()
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("proc: %s: %w", table, err)
		}
	}
	return sockets, nil
}

// portOf reads the port of an address such as 0100007F:1F90.
func portOf(address string) int {
	_, port, _ := strings.Cut(address, ":")
	b, err := hex.DecodeString(port)
	if err != nil || len(b) != 2 {
		return 0
	}
	return int(b[0])<<8 | int(b[1])
}

// holds reports whether the process has one of the sockets open.
func holds(pid int, sockets map[string]bool) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && sockets[target] {
			return true
		}
	}
	return false
}

// status reads a field of /proc/PID/status that is in kB.
func status(pid int, field string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, ErrUnknown
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, ErrUnknown // a zombie
}
