package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// TestCountersInterrupted sends an import of counters SIGINT in the middle. What was reported is in the store, and the repeated command
// does the rest.
func TestCountersInterrupted(t *testing.T) {
	t.Parallel()
	const rows = 4000
	r := newRig(t, 1)
	r.must("init")
	keys := importPressers(t, r, 3)
	id := func(n int) string { return modhex.EncodeToString(keys[n%3].publicID) }
	var text bytes.Buffer
	for n := range rows { // each raises its key
		fmt.Fprintf(&text, "1,1359470658,1359470659,%s,%d,%d,32729,4,aoincuhfuahsaoin,%s\n", id(n), 1+n/256, n%256, strings.Repeat("n", 200))
	}
	cmd := r.program("", 1, "counter", "import", "-o", "csv", "-")
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
	if err := cmd.Wait(); err == nil || !strings.Contains(said.String(), fmt.Sprintf("interrupted: %d rows in the store", reported)) ||
		!strings.Contains(said.String(), "repeat the command") {
		t.Fatalf("%d reported, %v\n%s", reported, err, said.String())
	}
	last := reported - 1
	public, err := token.ParsePublicID(id(last))
	if err != nil {
		t.Fatal(err)
	}
	st := r.open()
	if c, err := st.Find(t.Context(), public); err != nil || c.Row.Counters.Use != 1+last/256 || c.Row.Counters.Session != last%256 {
		t.Errorf("after %d rows: %+v, %v", reported, c.Row.Counters, err)
	}
	r.stdin = &text
	r.must("counter", "import", "-")
	if want := fmt.Sprintf("%d taken over, %d known already, 0 refused", rows-reported, reported); !strings.Contains(r.err.String(), want) {
		t.Errorf("want %s\n%s", want, r.err.String())
	}
}

// TestYubiserverBar: a bar shows at a terminal, for a file that is worth it, and is taken away.
func TestYubiserverBar(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		terminal bool
		rows     int
		want     bool
	}{{true, progressRows, true}, {false, progressRows, false}, {true, 10, false}} {
		r := newRig(t, 1)
		r.stderrTTY = tc.terminal
		r.must("init")
		r.must("yubiserver", "import", yubiserverFile(t, tc.rows))
		if got := strings.Contains(r.err.String(), "% |"); got != tc.want || !strings.Contains(r.err.String(), fmt.Sprintf("apikeys: %d taken over", tc.rows)) {
			t.Errorf("%+v: a bar: %t\n%.500q", tc, got, r.err.String())
		}
	}
}

// yubiserverFile has so many clients.
func yubiserverFile(t *testing.T, clients int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "yubiserver.sqlite")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`CREATE TABLE yubikeys(nickname, publicname, created, internalname, aeskey, active, counter, time);
		CREATE TABLE oathtokens(nickname, publicname, created, secret, active, counter);
		CREATE TABLE apikeys(nickname, secret, id INTEGER PRIMARY KEY);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO apikeys SELECT 'mail', hex(randomblob(10)), i FROM n`, clients)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
