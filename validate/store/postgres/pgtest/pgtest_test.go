package pgtest_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
)

// childVariable makes the test binary a process that starts a server, says its URL and waits for its end.
const childVariable = "TOKENDESK_TEST_PGTEST"

// TestLeaves is the child's part of TestEndsWithItsProcess.
func TestLeaves(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("only in a process of its own")
	}
	s := pgtest.Shared(t)
	var dir string
	query(t, s.URL("postgres"), "SHOW data_directory", &dir)
	os.Stdout.WriteString("\n" + s.URL("postgres") + " " + dir + "\n")
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
}

func query(t *testing.T, url, text string, into any) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	if err := c.QueryRow(t.Context(), text).Scan(into); err != nil {
		t.Fatal(err)
	}
}

// TestKeepsWhatItAcknowledged: a committed row is there after the server was killed and started again, on the same port.
func TestKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t)
	url := s.NewDatabase(t)
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), `CREATE TABLE probe (n INTEGER); INSERT INTO probe VALUES (7)`); err != nil {
		t.Fatal(err)
	}
	s.Kill(t)
	if err := c.Ping(t.Context()); err == nil {
		t.Error("it still answers")
	}
	s.Start(t)
	var n int
	if query(t, url, `SELECT n FROM probe`, &n); n != 7 {
		t.Errorf("got %d", n)
	}
	var durable string
	if query(t, url, `SELECT current_setting('fsync') || current_setting('synchronous_commit')`, &durable); durable != "onon" {
		t.Errorf("durability %q", durable)
	}
	if !strings.Contains(s.Log(), "automatic recovery") {
		t.Errorf("it was not killed:\n%s", s.Log())
	}
}

// TestDatabasesAreApart: each has a new name.
func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	s := pgtest.Shared(t)
	if s != pgtest.Shared(t) {
		t.Error("a second server")
	}
	if one, two := s.NewDatabase(t), s.NewDatabase(t); one == two {
		t.Error("the same name twice")
	}
}

// TestEndsWithItsProcess: a test binary that is killed leaves neither processes nor files.
func TestEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	pgtest.Shared(t) // skips where there is no PostgreSQL
	cmd := exec.Command(os.Args[0], "-test.run=^TestLeaves$")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for b := make([]byte, 512); strings.Count(text.String(), "\n") < 2; {
		n, err := out.Read(b)
		if text.Write(b[:n]); err != nil {
			t.Fatalf("%v\n%s", err, text.String())
		}
	}
	fields := strings.Fields(text.String())
	url, data := fields[0], fields[1]
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for {
		_, err := os.Stat(filepath.Dir(data))
		if os.IsNotExist(err) {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the directory stays")
		}
	}
	if c, err := pgx.Connect(t.Context(), url); err == nil {
		_ = c.Close(t.Context())
		t.Error("it still runs")
	}
}
