package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// keyRow is row n of a yubico-csv file; a bad one lacks a digit of its key.
func keyRow(n int, bad bool) string {
	id := make([]byte, 12)
	modhex.Encode(id, []byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 7})
	key := fmt.Sprintf("%032x", uint64(n+1)*0x9E3779B97F4A7C15)
	if bad {
		key = key[1:]
	}
	return fmt.Sprintf("%d,%s,%012x,%s,,2026-03-01T10:00:01,\n", 1000+n, id, n+1, key)
}

// TestImportMemory imports 200,000 rows of which most are bad: what the program needs does not grow with them, and every bad row is
// in the file of --failed-out.
func TestImportMemory(t *testing.T) {
	t.Parallel()
	const rows, every = 200_000, 200
	const most = 64 << 10 // KiB; 20,000 rows take 2 MiB less than 200,000
	r := newRig(t, 1)
	r.must("init")
	dir := t.TempDir()
	file, rest := filepath.Join(dir, "keys.csv"), filepath.Join(dir, "rest.csv")
	var text bytes.Buffer
	for n := range rows {
		text.WriteString(keyRow(n, n%every != 0))
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := r.program("", 1, "keyfile", "import", "--failed-out", rest, file)
	peakOf := wantPeak(t, cmd)
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != int(exitPartly) || !bytes.Contains(said, fmt.Appendf(nil, "%d new, 0 known already, %d refused", rows/every, rows-rows/every)) {
		t.Fatalf("%v\n%.2000s", err, said)
	}
	if peak := peakOf(); peak > most {
		t.Errorf("%d MiB in memory", peak>>10)
	} else {
		t.Logf("%d MiB in memory", peak>>10)
	}
	left, err := os.ReadFile(rest)
	if err != nil || bytes.Count(left, []byte("\n")) != rows-rows/every {
		t.Errorf("%d rows are left, %v", bytes.Count(left, []byte("\n")), err)
	}
}

// TestImportInterrupted sends an import SIGINT in the middle. What was reported is in the store, and the repeated command does the rest.
func TestImportInterrupted(t *testing.T) {
	t.Parallel()
	const rows, bad = 4000, 10
	r := newRig(t, 1)
	r.must("init")
	var text bytes.Buffer
	for n := range rows {
		text.WriteString(keyRow(n, n == bad))
	}
	rest := filepath.Join(t.TempDir(), "rest.csv")
	cmd := r.program("", 1, "keyfile", "import", "--failed-out", rest, "-o", "csv", "-")
	in, feed := io.Pipe() // stays open: the file goes on
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = feed.Write(text.Bytes()) }()
	reported := -1 // the header
	for lines := bufio.NewScanner(out); lines.Scan(); reported++ {
		if reported == 300 {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = feed.Close()
	if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), fmt.Sprintf("interrupted: %d rows in the store", reported-1)) ||
		!strings.Contains(said.String(), "repeat the command") || strings.Count(said.String(), "tokendesk: ") != 1 {
		t.Fatalf("%d reported, %v\n%s", reported, err, said.String())
	}
	if _, err := os.Stat(rest); !os.IsNotExist(err) {
		t.Errorf("the file of an unfinished import is there: %v", err)
	}
	r.stdin = &text
	code := r.run("keyfile", "import", "-")
	if want := fmt.Sprintf("%d new, %d known already, 1 refused", rows-reported, reported-1); code != exitPartly || !strings.Contains(r.err.String(), want) {
		t.Errorf("want %s\n%s", want, r.err.String())
	}
}

// TestImportBar: a bar shows at a terminal, for a file that is worth it, and is taken away.
func TestImportBar(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		terminal bool
		rows     int
		want     bool
	}{{true, 5000, true}, {false, 5000, false}, {true, 100, false}} {
		r := newRig(t, 1)
		r.stderrTTY = tc.terminal
		r.must("init")
		var text bytes.Buffer
		for n := range tc.rows {
			text.WriteString(keyRow(n, n > 0))
		}
		file := filepath.Join(t.TempDir(), "keys.csv")
		if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		r.run("keyfile", "import", file)
		if got := strings.Contains(r.err.String(), "% |"); got != tc.want {
			t.Errorf("%+v: a bar: %t\n%.500q", tc, got, r.err.String())
		}
	}
}
