package pcsc

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Holder is a running program that uses smart cards.
type Holder struct {
	Name    string // as the system names its processes: at most 15 bytes
	Process int
}

// String is "scdaemon (process 4321)".
func (h Holder) String() string { return fmt.Sprintf("%s (process %d)", h.Name, h.Process) }

// knownHolders are programs known to hold a card for long. They count also where their connections may not be seen. Source: reference
// yubikey-otp.md §5.
var knownHolders = []string{"scdaemon", "yubikey-agent"}

// Held is a HeldError for a reader, with the programs that run now.
func Held(reader string) *HeldError {
	return &HeldError{reader, holders(os.DirFS("/proc"), os.Getpid(), clients(servicePath()))}
}

// servicePath is where pcscd listens. Source: pcscd(8).
func servicePath() string {
	if p := os.Getenv("PCSCLITE_CSOCK_NAME"); p != "" {
		return p
	}
	return "/run/pcscd/pcscd.comm"
}

// holders are the programs that may hold a card: those that have one of the sockets, named as in "socket:[4321]", as far as this user may
// see, and those known for it. Nobody but the service knows which of them it is, and it does not tell. proc is Linux's /proc.
func holders(proc fs.FS, self int, sockets map[string]bool) []Holder {
	dirs, _ := fs.ReadDir(proc, ".")
	var found []Holder
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == self {
			continue
		}
		comm, err := fs.ReadFile(proc, d.Name()+"/comm")
		name := shown(strings.TrimSuffix(string(comm), "\n"))
		if err == nil && (slices.Contains(knownHolders, name) || has(proc, d.Name(), sockets)) {
			found = append(found, Holder{name, pid})
		}
	}
	slices.SortFunc(found, func(a, b Holder) int { return a.Process - b.Process })
	return found
}

// shown is a name without what would steer a terminal: a process chooses its name.
func shown(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(name, "?"))
}

// has reports whether a process has one of the sockets.
func has(proc fs.FS, pid string, sockets map[string]bool) bool {
	if len(sockets) == 0 {
		return false
	}
	files, _ := fs.ReadDir(proc, pid+"/fd")
	for _, f := range files {
		if to, err := fs.ReadLink(proc, pid+"/fd/"+f.Name()); err == nil && sockets[to] {
			return true
		}
	}
	return false
}
