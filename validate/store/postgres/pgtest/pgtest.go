// Package pgtest gives tests a PostgreSQL of their own: initdb into a new directory, a server on 127.0.0.1 that trusts everybody,
// and a guard that stops it and removes the directory however the test binary ends.
//
// initdb refuses root, so where the tests run as root everything of PostgreSQL runs as the user postgres. The programs are Debian's, in
// /usr/lib/postgresql/N/bin, or in PATH. Where there are none the test is skipped; where TOKENDESK_JUDGES is 1 it fails.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options are how a server is run. The zero value is one that keeps what it has acknowledged.
type Options struct {
	Fast     bool     // nothing is flushed to the disk: for what neither kills nor measures
	Settings []string // of postgresql.conf, "name=value"
	Under    []string // a program and its arguments that runs postgres, such as strace
}

// Server is one PostgreSQL. Its methods may be called from any number of goroutines; Kill and Start by one at a time.
type Server struct {
	Port int // on 127.0.0.1; Start keeps it

	options   Options
	dir       string // of data and log, only for the user that PostgreSQL runs as
	bin       string
	log       log
	ended     chan struct{} // closed when the processes of the last start are gone
	guard     io.Closer     // closing it stops the server and removes dir
	guarded   chan struct{} // closed when that is done
	databases atomic.Int64
}

// startTime bounds the start, a recovery of the log included.
const startTime = 60 * time.Second

// Start starts a server that lives as long as the test.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWith(t, Options{})
}

// StartWith is Start with options.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := start(find(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.guard.Close()
		<-s.guarded
	})
	return s
}

// shared is the one server of this test binary. It is a variable because nothing else lives as long as the process does.
var shared struct {
	sync.Mutex
	*Server
}

// Shared is the one server of this test binary that all who neither kill nor measure use, started by the first. It is fast and ends with the
// process.
func Shared(t testing.TB) *Server {
	t.Helper()
	bin := find(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.Server == nil {
		s, err := start(bin, Options{Fast: true})
		if err != nil {
			t.Fatal(err)
		}
		shared.Server = s
	}
	return shared.Server
}

// find is the directory of PostgreSQL's programs, of the newest version.
func find(t testing.TB) string {
	t.Helper()
	var best string
	version := 0
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	for _, p := range all {
		dir := filepath.Dir(p)
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && n > version {
			best, version = dir, n
		}
	}
	if best == "" {
		if p, err := exec.LookPath("initdb"); err == nil {
			best = filepath.Dir(p)
		}
	}
	var err error
	if best == "" {
		err = errors.New("no initdb in /usr/lib/postgresql/*/bin or PATH")
	} else {
		err = canRun()
	}
	if err == nil {
		return best
	}
	if os.Getenv("TOKENDESK_JUDGES") == "1" {
		t.Fatalf("PostgreSQL cannot be run, and TOKENDESK_JUDGES is 1: %v", err)
	}
	t.Skipf("PostgreSQL cannot be run: %v", err)
	return ""
}

// start makes the data directory and starts the server.
func start(bin string, o Options) (*Server, error) {
	dir, err := os.MkdirTemp("", "tokendesk-pg")
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, dir: dir, bin: bin}
	if err := errors.Join(give(dir), s.watch()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err = s.init(); err == nil {
		err = s.listen()
	}
	if err != nil {
		_ = s.guard.Close()
		<-s.guarded
		return nil, err
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// watch starts the guard: a shell that waits for the end of its input, which comes from Close or from the end of this process.
func (s *Server) watch() error {
	cmd := command("/bin/sh", "-c", `cat >/dev/null; "$1"/pg_ctl stop -s -m immediate -D "$2"/data >/dev/null 2>&1; rm -rf "$2"`, "guard", s.bin, s.dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.guard, s.guarded = in, make(chan struct{})
	go func() {
		defer close(s.guarded)
		_ = cmd.Wait() // there was nothing to stop after Kill
	}()
	return nil
}

// init makes the database files. Words are ordered as a language does, not by bytes: most servers out there are set up so.
func (s *Server) init() error {
	out, err := command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8",
		"--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	lines := []string{
		"listen_addresses='127.0.0.1'", "unix_socket_directories=''", "max_connections=300", "shared_buffers=64MB", "max_wal_size=512MB",
		"lc_messages='C'", "deadlock_timeout='200ms'", "log_checkpoints=off",
	}
	if s.options.Fast {
		lines = append(lines, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	lines = append(lines, s.options.Settings...)
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	return errors.Join(err, f.Close())
}

// listen starts it on a port that is free. Such are drawn below those that the system gives to clients: 32768 and above in Linux.
func (s *Server) listen() error {
	var err error
	for range 10 {
		s.Port = 15000 + rand.IntN(17000)
		var l net.Listener
		if l, err = net.Listen("tcp", s.address()); err != nil {
			continue
		}
		_ = l.Close()
		if err = s.run(); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// run starts postgres and waits until it takes connections.
func (s *Server) run() error {
	args := append(append([]string(nil), s.options.Under...), filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.Port))
	cmd := command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	ready := s.log.await("database system is ready to accept connections")
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its log says why
	}()
	select {
	case <-ready:
		return nil
	case <-ended:
		return fmt.Errorf("postgres ended\n%s", s.log.String())
	case <-time.After(startTime):
		return fmt.Errorf("postgres does not start\n%s", s.log.String())
	}
}

// URL is how clients name a database of this server. They wait for a connection as long as a busy machine takes.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: s.address(), Path: "/" + database, RawQuery: "sslmode=disable&connect_timeout=20"}
	return u.String()
}

// NewDatabase makes an empty database and returns its URL. It stays until the test ends: 8 MB each are too many for a small disk.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.drop(ctx, name) })
	return s.URL(name)
}

// drop removes a database, whoever is still connected. A server that was killed keeps it.
func (s *Server) drop(ctx context.Context, name string) {
	c, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return
	}
	defer c.Close(ctx)
	_, _ = c.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // what stays goes with the server
}

// Kill ends it at once, as a power cut would: nothing is flushed, nobody is told.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if out, err := command(filepath.Join(s.bin, "pg_ctl"), "stop", "-s", "-m", "immediate", "-D", s.data()).CombinedOutput(); err != nil {
		t.Errorf("pg_ctl stop: %v\n%s", err, out)
	}
	<-s.ended
}

// Start starts it again after Kill, on the same port, and returns when it takes connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Error(err)
	}
}

// Log is what the server has said so far.
func (s *Server) Log() string { return s.log.String() }
