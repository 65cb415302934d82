package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/chaos"
	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
)

// asks is how many questions each client asks in one phase of a fault.
const asks = 12

// someAsk lets all clients ask a few questions, or those of some loads, and returns how many OTPs and codes were accepted, and how often the
// answer was that something failed.
func (f *fire) someAsk(only ...*fireLoad) (accepted, failed int) {
	before, failures := f.accepted(), f.failed.Load()
	if only == nil {
		only = []*fireLoad{f.otps, f.codes}
	}
	for _, l := range only {
		l.Run(f.t.Context(), l.history, asks)
	}
	return f.accepted() - before, int(f.failed.Load() - failures)
}

func (f *fire) accepted() int {
	return f.otps.history.Count()[chaos.Ask][chaos.Accepted] + f.codes.history.Count()[chaos.Ask][chaos.Accepted]
}

// well fails unless OTPs and codes are accepted. A server that was just healed may still have to notice: until a deadline.
func (f *fire) well(when string) {
	f.t.Helper()
	const most = 2 * time.Minute
	for end := time.Now().Add(most); ; {
		accepted, failed := f.someAsk()
		if accepted > 0 && failed == 0 {
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("%s: %d accepted, %d answers that something failed", when, accepted, failed)
		}
	}
}

// TestServersWhoseClockJumps: OTPs and HOTP codes do not care; a TOTP code of a step before one that was accepted stays dead, however the clock
// came to it.
func TestServersWhoseClockJumps(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	f := newFire(t, newRig(t, 2), 2)
	for i := range f.slots {
		if err := f.put(i); err != nil {
			t.Fatal(err)
		}
	}
	f.well("before")
	ahead, newest := day, day
	for _, jump := range []time.Duration{10 * day, -20 * day, 400 * day, -400 * day, 11 * day, 3650 * day} {
		f.clock.advance(jump)
		ahead += jump
		accepted, failed := 0, 0
		for late := true; late; { // where the machine stood still, a server waits in vain now and then
			start := time.Now()
			accepted, failed = f.someAsk(f.otps)
			late = failed > 0 && time.Since(start) > leastPatient
		}
		if accepted == 0 || failed > 0 {
			t.Errorf("after %v: %d OTPs accepted, %d answers that something failed", jump, accepted, failed)
		}
		for key := range f.codes.Keys {
			kind := token.Kind([]token.Kind{token.HOTP, token.TOTP}[key%2])
			accepted := 0
			for range 4 { // failures of before may delay it
				now := f.clock.advance(20 * codePause)
				op := chaos.Op{Verb: chaos.Ask, Key: key, Nonce: "jump"}
				if op.Order = oath.Step(now, codeSteps*paceStep); kind == token.HOTP {
					op.Order = f.codes.Press(key, f.random)
				}
				if f.codes.history.Run(op, func() (chaos.Answer, bool) { return f.codes.Ask(t.Context(), op) }) == chaos.Accepted {
					accepted++
				}
			}
			if want := kind == token.HOTP || ahead > newest; want != (accepted > 0) {
				t.Errorf("after %v: %d %s codes accepted", jump, accepted, kind)
			}
		}
		newest = max(newest, ahead)
	}
	f.judge()
}

// TestServersWhoseStoreIsGone: while the directory has another name, no other server starts, and says why. Nothing that was accepted
// meanwhile is lost, whether the server lives on or not.
func TestServersWhoseStoreIsGone(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		f := newFire(t, newRig(t, 2), 1)
		if err := f.put(0); err != nil {
			t.Fatal(err)
		}
		f.well("before")
		away := f.dataDir + ".away"
		if err := os.Rename(f.dataDir, away); err != nil {
			t.Fatal(err)
		}
		if _, err := f.start(func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), "there is no store in") {
			t.Errorf("another server: %v", err)
		}
		f.someAsk()
		if killed {
			f.end(0, os.Kill)
		}
		if err := os.Rename(away, f.dataDir); err != nil {
			t.Fatal(err)
		}
		if killed {
			if err := f.put(0); err != nil {
				t.Fatal(err)
			}
		}
		f.well("afterwards")
		f.judge()
	}
}

// How long wsapi and api wait for a store is between these, also on a machine that stands still meanwhile.
const (
	leastPatient = 5 * time.Second
	mostPatient  = 30 * time.Second
)

// oneEach asks each server about a fresh OTP or code of each key, all at once. It returns how many were accepted, and how long the slowest
// answer took.
func (f *fire) oneEach() (accepted int, longest time.Duration) {
	var all sync.WaitGroup
	before, start := f.accepted(), time.Now()
	for _, l := range []*fireLoad{f.otps, f.codes} {
		for key := range l.Keys {
			for i := range f.slots {
				op := chaos.Op{Verb: chaos.Ask, Key: key, Order: l.Press(key, f.random), Server: i}
				op.Nonce = fmt.Sprintf("outage%020d", op.Order)
				all.Go(func() { l.history.Run(op, func() (chaos.Answer, bool) { return l.Ask(f.t.Context(), op) }) })
			}
		}
	}
	all.Wait()
	return f.accepted() - before, time.Since(start)
}

// TestServersWithoutPostgres: while the database is stopped, or does not write, nothing is accepted, each answer comes in time, and the log
// says why. When it is back the servers are well again by themselves.
func TestServersWithoutPostgres(t *testing.T) {
	t.Parallel()
	database := pgtest.Start(t)
	where := database.NewDatabase(t)
	tell := func(text string) (answer string) {
		c, err := pgx.Connect(t.Context(), where)
		if err == nil {
			defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
			err = c.QueryRow(t.Context(), text).Scan(&answer)
		}
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
		return answer
	}
	readOnly := func(is string) {
		tell(`ALTER SYSTEM SET default_transaction_read_only = ` + is)
		tell(`SELECT pg_reload_conf()::text`)
		for tell(`SHOW default_transaction_read_only`) != is { // it is told to every session, and soon
		}
		tell(`SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	}
	r := newRig(t, 2)
	r.remote(where)
	f := newFire(t, r, 2)
	for i := range f.slots {
		if err := f.put(i); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name       string
		hurt, heal func()
	}{
		{"stopped", func() { database.Kill(t) }, func() { database.Start(t) }},
		{"read-only", func() { readOnly("on") }, func() { readOnly("off") }},
	} {
		f.well("before it is " + tc.name)
		tc.hurt()
		if accepted, longest := f.oneEach(); accepted > 0 || longest > mostPatient {
			t.Errorf("%s: %d accepted, the slowest answer after %v", tc.name, accepted, longest)
		}
		tc.heal()
	}
	f.well("at the end")
	f.judge()
	for _, says := range []string{"the database does not answer", "the database is read-only"} {
		if log := f.said.text.String(); !strings.Contains(log, says) {
			t.Errorf("the log does not say %q:\n%.2000s", says, log)
		}
	}
}
