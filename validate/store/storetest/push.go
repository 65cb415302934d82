package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/push/privacyidea"
	"github.com/tokendesk/tokendesk/keyfile/push/pushtest"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// RunPush runs the suite of what is pushed to other servers; open gives an empty store each time, whose clock is the real one.
func RunPush(t *testing.T, open func(t *testing.T) Full) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s *pushSuite)
	}{
		{"targets", testTargets},
		{"push", testPush},
		{"block and restore", testPushBlock},
		{"block while enrolling", testBlockWhileEnrolling},
		{"stopped anywhere", testPushStopped},
		{"nothing is confirmed by mistake", testPushUnconfirmed},
		{"replaced", testPushReplaced},
		{"one target down", testTargetDown},
		{"remove a target", testRemoveTarget},
		{"pushes and blocks at once", testPushRace},
		{"privacyIDEA", testPushWalk},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &pushSuite{servers: map[string]*peer{}}
			s.deskSuite = deskSuite{ledgerSuite{open(t)}, nil}
			s.d = &desk.Desk{Store: s.Full, Now: func() time.Time { return time.Now().Add(s.later) }, Rand: rand.Reader}
			tc.run(t, s)
		})
	}
}

type pushSuite struct {
	deskSuite
	servers map[string]*peer
	later   time.Duration // how far the desk's clock is ahead
}

// peer is a server as a target shows it. It is guarded by its lock.
type peer struct {
	sync.Mutex
	active map[string]bool // by serial
	made   map[string]int
	calls  int
	fault  func(op string, done bool) error // called before and after an operation is carried out
}

// add registers a target with a peer of its own.
func (s *pushSuite) add(t *testing.T, name string) *peer {
	t.Helper()
	credential := secret.Copy([]byte("credential of " + name))
	_, err := s.d.AddTarget(t.Context(), push.Server{Name: name, Kind: push.PrivacyIDEA, URL: "https://" + name + ".example.org"}, credential)
	s.must(t, err)
	s.servers[name] = &peer{active: map[string]bool{}, made: map[string]int{}}
	return s.servers[name]
}

func (s *pushSuite) connect(server push.Server, credential secret.Bytes) (push.Target, error) {
	if string(credential.Reveal()) != "credential of "+server.Name {
		return nil, errors.New("another credential")
	}
	return s.servers[server.Name], nil
}

func (p *peer) Loss(rec keyfile.Record) []keyfile.Loss {
	if rec.Serial == 109 {
		return []keyfile.Loss{keyfile.Fatal("kind", "not here")}
	}
	return nil
}

// do carries an operation out; the fault may call back into the desk.
func (p *peer) do(ctx context.Context, op string, f func() push.Status) (push.Result, error) {
	p.Lock()
	p.calls++
	fault := p.fault
	p.Unlock()
	check := func(done bool) error {
		if fault == nil {
			return nil
		}
		return errors.Join(fault(op, done), ctx.Err())
	}
	if err := check(false); err != nil {
		return push.Result{}, err
	}
	p.Lock()
	status := f()
	p.Unlock()
	return push.Result{Status: status, Handle: "h"}, check(true)
}

func (p *peer) Enrol(ctx context.Context, rec keyfile.Record, at push.Place) (push.Result, error) {
	return p.do(ctx, "enrol", func() push.Status {
		if _, there := p.active[at.Serial]; there {
			return push.AlreadyThere
		}
		p.active[at.Serial] = rec.Key.Len() == keyfile.KeySize
		p.made[at.Serial]++
		return push.Enrolled
	})
}

func (p *peer) Disable(ctx context.Context, at push.Place) (push.Result, error) {
	return p.do(ctx, "disable", func() push.Status {
		if _, there := p.active[at.Serial]; !there {
			return push.Gone
		}
		p.active[at.Serial] = false
		return push.Disabled
	})
}

func (p *peer) Enable(ctx context.Context, _ keyfile.Record, at push.Place) (push.Result, error) {
	return p.do(ctx, "enable", func() push.Status {
		p.active[at.Serial] = true
		return push.Enabled
	})
}

func (p *peer) State(context.Context, push.Place) (push.State, error) {
	return "", errors.New("not asked")
}

// valid are the serials that the peer accepts, sorted.
func (p *peer) valid() (out []string) {
	p.Lock()
	defer p.Unlock()
	for serial, active := range p.active {
		if active {
			out = append(out, serial)
		}
	}
	slices.Sort(out)
	return out
}

// fail lets everything, or what begins from now on, go wrong.
func (p *peer) fail(f func(op string, done bool) error) {
	p.Lock()
	defer p.Unlock()
	p.fault = f
}

func noAnswer(string, bool) error { return &push.UnreachableError{Server: "peer", Cause: "it broke"} }

// push and settle list outcomes as "serial outcome", with an exclamation mark for what is still valid.
func (s *pushSuite) push(t *testing.T, target string, queries ...string) (out []string) {
	t.Helper()
	return s.outcomes(t, s.d.Push, target, queries)
}

func (s *pushSuite) plan(t *testing.T, target string, queries ...string) (out []string) {
	t.Helper()
	return s.outcomes(t, s.d.PlanPush, target, queries)
}

type pusher func(ctx context.Context, connect desk.Connect, target string, queries ...string) (int, iter.Seq2[desk.Pushed, error], error)

func (s *pushSuite) outcomes(t *testing.T, do pusher, target string, queries []string) (out []string) {
	t.Helper()
	n, all, err := do(t.Context(), s.connect, target, queries...)
	s.must(t, err)
	for p, err := range all {
		s.must(t, err)
		out = append(out, text(p))
	}
	if n != len(out) {
		t.Errorf("announced %d, got %v", n, out)
	}
	return out
}

func (s *pushSuite) settle(t *testing.T, tokens ...token.ID) (out []string) {
	t.Helper()
	for p, err := range s.d.Settle(t.Context(), s.connect, tokens...) {
		s.must(t, err)
		out = append(out, text(p))
	}
	return out
}

func text(p desk.Pushed) string {
	out := fmt.Sprintf("%s %s", p.Serial, p.Outcome)
	if p.StillValid {
		out += "!"
	}
	return out
}

func (s *pushSuite) status(t *testing.T, query string) desk.Push {
	t.Helper()
	list, err := s.d.PushStatus(t.Context(), query)
	s.must(t, err)
	if len(list) != 1 {
		t.Fatalf("%d pushes of %s", len(list), query)
	}
	return list[0]
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func testTargets(t *testing.T, s *pushSuite) {
	s.add(t, "b")
	s.add(t, "a")
	good := push.Server{Name: "c", Kind: push.LinOTP, URL: "https://x", Account: "admin"}
	for name, change := range map[string]func(*push.Server){
		"taken": func(p *push.Server) { p.Name = "a" }, "no name": func(p *push.Server) { p.Name = "" }, "no TLS": func(p *push.Server) { p.URL = "http://x" },
		"no account": func(p *push.Server) { p.Account = "" }, "unknown kind": func(p *push.Server) { p.Kind = "x" }, "no realm": func(p *push.Server) { p.Kind = push.Keycloak },
	} {
		bad := good
		change(&bad)
		if _, err := s.d.AddTarget(t.Context(), bad, secret.Copy([]byte("x"))); err == nil || name == "taken" && !errors.Is(err, token.ErrDuplicate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.d.AddTarget(t.Context(), good, secret.Bytes{}); err == nil {
		t.Error("without a credential")
	}
	list, err := s.d.Targets(t.Context())
	if err != nil || len(list) != 2 || list[0].Name != "a" || list[1].URL != "https://b.example.org" || list[0].Created.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
	s.must(t, s.d.SetTargetCredential(t.Context(), "b", secret.Copy([]byte("new"))))
	if c, err := s.TargetCredential(t.Context(), list[1].ID); err != nil || string(c.Reveal()) != "new" {
		t.Errorf("%v", err)
	}
	for name, err := range map[string]error{"set": s.d.SetTargetCredential(t.Context(), "z", secret.Copy([]byte("new"))), "remove": s.d.RemoveTarget(t.Context(), "z", true)} {
		if !errors.Is(err, desk.ErrTarget) {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
	s.must(t, s.d.RemoveTarget(t.Context(), "a", false))
}

func testPush(t *testing.T, s *pushSuite) {
	p := s.add(t, "pi")
	for _, n := range []int{1, 2, 9} {
		s.key(t, n)
	}
	_, _, _, err := s.d.Block(t.Context(), "102", desk.Block{Reason: token.ReasonLost})
	s.must(t, err)
	s.reach(t, reservation(103), token.Sealed, 3)
	s.reach(t, reservation(104), token.Reserved, 4)
	expect(t, "plan", s.plan(t, "pi"), "YUBIAES101_1 would be enrolled", "YUBIAES109_1 refused")
	if all, err := s.d.PushStatus(t.Context()); err != nil || len(all) != 0 || len(p.valid()) != 0 {
		t.Errorf("the plan did something: %v, %v", all, err)
	}
	expect(t, "default set", s.push(t, "pi"), "YUBIAES101_1 enrolled", "YUBIAES109_1 refused")
	expect(t, "again", s.push(t, "pi", "101"), "YUBIAES101_1 already there")
	expect(t, "plan by name", s.plan(t, "pi", "101", "102"), "YUBIAES101_1 already there", "YUBIAES102_1 refused")
	expect(t, "blocked, by name", s.push(t, "pi", "102", "102"), "YUBIAES102_1 refused")
	s.key(t, 5)
	s.reach(t, reservation(105), token.Writing, 6)
	expect(t, "uncertain, by name", s.push(t, "pi", "105"), "YUBIAES105_1 refused")
	expect(t, "there", p.valid(), "YUBIAES101_1")
	expect(t, "nothing to settle", s.settle(t))
	st := s.status(t, "101")
	if !st.Settled() || st.StillValid() || st.Attempts != 2 || !st.Enrolled || st.Place.Handle != "h" || st.Token.Serial != 101 || st.Target.Name != "pi" || !st.Doubt.IsZero() {
		t.Errorf("%+v", st)
	}
	if all, err := s.d.PushStatus(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d rows, %v", len(all), err)
	}
	if _, _, err := s.d.Push(t.Context(), s.connect, "nowhere"); !errors.Is(err, desk.ErrTarget) {
		t.Errorf("no such target: %v", err)
	}
	if _, _, err := s.d.Push(t.Context(), s.connect, "pi", "4711"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("no such token: %v", err)
	}
}

// testPushWalk is the whole walk with the real client against a double of the server.
func testPushWalk(t *testing.T, s *pushSuite) {
	double := pushtest.NewPrivacyIDEA(t)
	pause := func(context.Context, time.Duration) error { return nil }
	connect := func(server push.Server, credential secret.Bytes) (push.Target, error) {
		target, err := privacyidea.New(server, credential, double.Client().Transport)
		return push.Patient{Target: target, Pause: pause}, err
	}
	_, err := s.d.AddTarget(t.Context(), push.Server{Name: "pi", Kind: push.PrivacyIDEA, URL: double.URL, Account: pushtest.Account, Realm: pushtest.Realm}, secret.Copy([]byte(pushtest.Password)))
	s.must(t, err)
	s.key(t, 1)
	_, all, err := s.d.Push(t.Context(), connect, "pi")
	s.must(t, err)
	double.Fault("POST /token/init", pushtest.Drop)
	for p, err := range all {
		if err != nil || text(p) != "YUBIAES101_1 enrolled" || len(p.Loss) == 0 {
			t.Errorf("%+v, %v", p, err)
		}
	}
	_, k, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonStolen})
	s.must(t, err)
	double.Fault("POST /token/disable", slices.Repeat([]pushtest.Fault{pushtest.Fail(500)}, 4)...)
	for _, want := range []string{"YUBIAES101_1 waiting!", "YUBIAES101_1 disabled"} {
		for p, err := range s.d.Settle(t.Context(), connect, k.ID) {
			if err != nil || text(p) != want {
				t.Errorf("%+v, %v; want %s", p, err, want)
			}
		}
	}
	if kept := double.Token("YUBIAES101_1"); kept.Active || kept.Made != 1 || string(kept.Key) != string(secretsOf(1).Key.Reveal()) {
		t.Errorf("active %v, made %d times", kept.Active, kept.Made)
	}
}
