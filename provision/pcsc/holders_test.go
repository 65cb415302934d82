package pcsc

import (
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
)

// TestHolders: of the processes those are named that have a connection to the service or are known to hold cards, but not we.
func TestHolders(t *testing.T) {
	t.Parallel()
	proc := fstest.MapFS{"meminfo": {}, "self": {Mode: fs.ModeSymlink, Data: []byte("100")}}
	for pid, p := range map[string]struct{ comm, socket string }{
		"12":  {"yubioath\n", "socket:[51]"},
		"7":   {"scdaemon\n", ""}, // of another user
		"30":  {"bash\n", "/dev/null"},
		"31":  {"sshd\n", ""},
		"40":  {"pcscd\n", "socket:[50]"},
		"100": {"we\n", "socket:[52]"},
		"200": {"e\x1b[2Jvil\xff\n", "socket:[53]"},
	} {
		proc[pid+"/comm"] = &fstest.MapFile{Data: []byte(p.comm)}
		if p.socket != "" {
			proc[pid+"/fd/3"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte(p.socket)}
		}
	}
	proc["50/fd/3"] = &fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("socket:[51]")} // ended meanwhile
	sockets := map[string]bool{"socket:[51]": true, "socket:[52]": true, "socket:[53]": true}
	if got := fmt.Sprint(holders(proc, 100, sockets)); got != "[scdaemon (process 7) yubioath (process 12) e?[2Jvil? (process 200)]" {
		t.Error(got)
	}
	if got := fmt.Sprint(holders(proc, 100, nil)); got != "[scdaemon (process 7)]" {
		t.Error(got)
	}
	if got := holders(fstest.MapFS{}, 1, sockets); got != nil {
		t.Error(got)
	}
	held := &HeldError{Reader: "R", By: []Holder{{"scdaemon", 7}, {"a", 9}}}
	if want := `another program holds the smart card in "R": it may be scdaemon (process 7) or a (process 9)`; held.Error() != want {
		t.Error(held)
	}
}
