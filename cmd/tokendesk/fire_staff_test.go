package main

import (
	"bytes"
	"context"
	"encoding/json"
	weak "math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/chaos"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// lostToken is one that staff have blocked.
type lostToken struct {
	*fireLoad
	key int
}

// work is what staff do until ctx ends: block the token of any key, and bring blocked ones back.
func (f *fire) work(ctx context.Context) {
	r := weak.New(weak.NewPCG(f.otps.Seed, 1<<33))
	var blocked []lostToken
	for ctx.Err() == nil {
		if n := len(blocked); n > 0 && r.IntN(3) > 0 {
			if f.restore(blocked[0], r) {
				blocked = blocked[1:]
			}
		} else {
			k := lostToken{f.otps, r.IntN(f.otps.Keys)}
			if r.IntN(3) == 0 {
				k = lostToken{f.codes, r.IntN(f.codes.Keys)}
			}
			if f.block(k); !slices.Contains(blocked, k) {
				blocked = append(blocked, k)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(r.IntN(150)) * time.Millisecond):
		}
	}
	f.blocked = blocked
}

// bringBack restores every token, while nobody kills any more.
func (f *fire) bringBack() {
	const most = 30
	for _, k := range f.blocked {
		tries := 0
		for !f.restore(k, f.random) && tries < most {
			tries++
		}
		if tries == most {
			f.t.Errorf("the token %s stays blocked\n%s", k.query(k.key), f.said.last)
		}
	}
}

// command is a run of the program by staff, while others run it too.
func (f *fire) command(typed string, words ...string) (exitCode, string) {
	e := f.env
	var out, say bytes.Buffer
	e.stdin, e.stdout, e.stderr = strings.NewReader(typed), &out, &say
	return run(context.WithoutCancel(f.t.Context()), &e, words), say.String()
}

func (f *fire) block(k lostToken) {
	k.lost(k.key)
	k.history.Run(chaos.Op{Verb: chaos.Block, Key: k.key}, func() (chaos.Answer, bool) {
		code, said := f.command("", "token", "lost", k.query(k.key))
		return f.happened(code, said), true
	})
}

// restore reports whether the token is back for sure. It is tried a day later, when failures before count no more.
func (f *fire) restore(k lostToken, r *weak.Rand) bool {
	f.clock.advance(25 * time.Hour)
	op := chaos.Op{Verb: chaos.Restore, Key: k.key, Order: k.fresh(k.key, r)}
	var code exitCode
	k.history.Run(op, func() (chaos.Answer, bool) {
		var said string
		code, said = f.command(k.text(k.key, op.Order)+"\n", "token", "restore", k.query(k.key))
		return f.happened(code, said), true
	})
	switch code {
	case exitDone:
		k.back(k.key, op.Order)
	case exitRefused: // it was restored before, by a code of before, and nobody heard of it
		k.back(k.key, 0)
	default:
		return false
	}
	return true
}

// happened is what became of a command.
func (f *fire) happened(code exitCode, said string) chaos.Answer {
	switch code {
	case exitDone:
		return chaos.Accepted
	case exitVerify, exitRefused:
		f.said.last = said
		return chaos.Denied
	}
	f.said.add("staff: " + said)
	f.said.last = said
	f.said.troubles++
	return chaos.Unknown
}

// judge asks about every key once more, stops the servers, and holds what was answered against what a store may answer, and against what
// this one has.
func (f *fire) judge() {
	for key := range f.otps.Keys {
		f.lastAsked(key)
	}
	for _, hangUp := range f.hangUp {
		hangUp()
	}
	for i := range f.slots {
		f.end(i, syscall.SIGTERM)
	}
	st := f.open()
	f.readEnds(st)
	for _, l := range []*fireLoad{f.otps, f.codes} {
		found := append(chaos.Check(l.history), chaos.CheckEnd(l.history, l.ends)...)
		for _, finding := range found[:min(len(found), 10)] {
			f.t.Errorf("token %s: %v", l.query(finding.Key), finding)
		}
	}
	if code, said := f.command("", "audit", "verify"); code != exitDone {
		f.t.Errorf("audit: exit code %d\n%s", code, said)
	}
	if f.t.Failed() {
		f.t.Logf("the servers said:\n%s", f.said.text.String())
	}
}

// lastAsked asks every server about one more OTP of a key. Where the answer is that something failed, because the machine stood still, the first
// is asked about another.
func (f *fire) lastAsked(key int) {
	var op chaos.Op
	ask := func(server int, fresh bool) (got chaos.Answer) {
		for end := time.Now().Add(askTime); ; {
			if fresh {
				op = chaos.Op{Verb: chaos.Ask, Key: key, Order: f.otps.Press(key, f.random)}
			}
			op.Server, op.Nonce = server, strings.Repeat("end", 8)+string(rune('a'+server))
			got = f.otps.history.Run(op, func() (chaos.Answer, bool) { return f.otps.Ask(f.t.Context(), op) })
			if got != chaos.Unknown || time.Now().After(end) {
				return got
			}
		}
	}
	for i := range f.slots {
		want := chaos.Replayed
		if i == 0 {
			want = chaos.Accepted
		}
		if got := ask(i, i == 0); got != want {
			f.t.Errorf("at the end, key %d at server %d: %s, want %s", key, i, got, want)
		}
	}
}

// readEnds reads what the store has of every key.
func (f *fire) readEnds(st *sqlstore.Store) {
	type place struct {
		ends map[int]chaos.End
		key  int
	}
	where := map[token.CredentialID]place{}
	for _, l := range []*fireLoad{f.otps, f.codes} {
		for key := range l.Keys {
			c := f.credential(st, l.query(key))
			n := c.Counters
			l.ends[key] = chaos.End{Stored: int64(n.Use)<<8 | int64(n.Session)}
			if c.Kind != token.YubicoOTP {
				issued := l.history.Ops()[key][0].Order // an event of the desk
				l.ends[key] = chaos.End{Stored: n.Moving, Events: []int64{issued}}
			}
			where[c.ID] = place{l.ends, key}
		}
	}
	for e, err := range st.AuditEvents(f.t.Context(), sqlstore.AuditFilter{}) {
		if err != nil {
			f.t.Fatal(err)
		}
		var d struct {
			Credential   token.CredentialID
			Result       string
			Use, Session int64
			Moving       *int64
		}
		if e.Action != "validate" {
			continue
		}
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			f.t.Fatal(err)
		}
		p, ours := where[d.Credential]
		if !ours || d.Result != "OK" {
			continue
		}
		end, order := p.ends[p.key], d.Use<<8|d.Session
		if d.Moving != nil {
			order = *d.Moving
		}
		end.Events = append(end.Events, order)
		p.ends[p.key] = end
	}
}

// credential is the one of a token that staff name so.
func (f *fire) credential(st *sqlstore.Store, query string) token.Credential {
	a := &app{env: &f.env}
	t, err := a.desk(st).Find(f.t.Context(), query)
	if err != nil {
		f.t.Fatal(err)
	}
	list, err := st.Credentials(f.t.Context(), t.ID)
	if err != nil || len(list) != 1 {
		f.t.Fatalf("%d credentials, %v", len(list), err)
	}
	return list[0]
}
