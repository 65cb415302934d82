package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/push/pushtest"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

const pushedSerial = "YUBIAES7654321_2"

// newPushRig has a key of alice's and the target "pi", a double.
func newPushRig(t *testing.T, kind string, d *pushtest.Double) *rig {
	t.Helper()
	r := newRig(t, 2)
	r.transport = d.Client().Transport
	r.must("init")
	r.must("person", "add", "alice")
	r.must("provision", "--slot", "2", "--to", "alice")
	r.stdin = strings.NewReader(pushtest.Password + "\n")
	r.must("target", "add", "pi", "--kind", kind, "--url", d.URL, "--account", pushtest.Account, "--realm", pushtest.Realm)
	return r
}

// wants calls the program and wants an exit code.
func (r *rig) wants(code exitCode, words ...string) {
	r.t.Helper()
	if got := r.run(words...); got != code {
		r.t.Fatalf("tokendesk %s: exit code %d, want %d\n%s", strings.Join(words, " "), got, code, r.err.String())
	}
}

// block blocks alice's token, wants an exit code, and checks that no OTP of it is accepted any more.
func (r *rig) block(code exitCode) {
	r.t.Helper()
	otp := r.typed(2)
	r.wants(code, "token", "block", "alice", "--reason", "lost")
	r.stdin = strings.NewReader(otp)
	r.wants(exitVerify, "verify")
}

// TestPushAndBlock: a token is enrolled once, disabled by the block, and enabled by the restore, and no secret is told on the way.
func TestPushAndBlock(t *testing.T) {
	t.Parallel()
	for kind, start := range map[string]func(t testing.TB) *pushtest.Double{
		"privacyidea": pushtest.NewPrivacyIDEA, "linotp": func(t testing.TB) *pushtest.Double { return pushtest.NewLinOTP(t, false) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			r := newPushRig(t, kind, d)
			r.must("keyfile", "push", "--to", "pi", "--dry-run")
			if d.Token(pushedSerial).Made != 0 || len(d.Seen()) != 0 {
				t.Error("the dry run sent something")
			}
			r.must("keyfile", "push", "--to", "pi")
			r.must("keyfile", "push", "--to", "pi", "alice", "-o", "json")
			if got := d.Token(pushedSerial); got.Made != 1 || got.User != "alice" || !got.Active {
				t.Errorf("made %d times, user %q, active %v", got.Made, got.User, got.Active)
			}
			r.block(exitDone)
			if d.Token(pushedSerial).Active {
				t.Error("still active")
			}
			r.stdin = strings.NewReader(r.typed(2))
			r.must("token", "restore", "alice")
			if !d.Token(pushedSerial).Active {
				t.Error("not active again")
			}
			for _, words := range []string{"keyfile push --status", "keyfile push --retry", "target list", "audit list --last 0 --raw", "token show alice"} {
				r.run(strings.Fields(words)...)
			}
			for _, want := range []string{"push.enrolled", "push.disabled", "push.enabled", "disabled at pi (" + pushedSerial + ")", "enabled at pi"} {
				if !strings.Contains(r.out.String()+r.err.String(), want) {
					t.Errorf("%q is not said", want)
				}
			}
			r.search([]named{{name: "seed", raw: d.Token(pushedSerial).Key}, {name: "password", text: pushtest.Password}})
		})
	}
}

// TestPushPartly: one is refused by the target, one by its kind's rules, and the rest goes on.
func TestPushPartly(t *testing.T) {
	t.Parallel()
	d := pushtest.NewPrivacyIDEA(t)
	r := newPushRig(t, "privacyidea", d)
	r.must("person", "add", "nobody")
	r.wants(exitDone, "provision", "--slot", "1", "--public-id", "random", "--verify", "none", "--to", "nobody", "--reassign") // the key changes hands
	r.wants(exitRefused, "keyfile", "push", "--to", "pi")
	delete(d.Users, "alice")
	r.must("person", "add", "bob")
	r.wants(exitRefused, "keyfile", "push", "--to", "pi", "nobody")
	if !strings.Contains(r.out.String(), "user") {
		t.Error("the field is not named")
	}
	k := pushtest.NewKeycloak(t)
	r.transport = k.Client().Transport
	r.stdin = strings.NewReader(pushtest.Password)
	r.must("target", "add", "sso", "--kind", "keycloak", "--url", k.URL, "--account", pushtest.Account, "--realm", pushtest.Realm)
	r.wants(exitRefused, "keyfile", "push", "--to", "sso", "nobody")
	if len(k.Seen()) != 0 {
		t.Error("Keycloak was asked for what it cannot keep")
	}
}

// TestOwnBlockComesFirst: when the first request of a block arrives at a target, the token is blocked here.
func TestOwnBlockComesFirst(t *testing.T) {
	t.Parallel()
	d := pushtest.NewPrivacyIDEA(t)
	r := newPushRig(t, "privacyidea", d)
	r.must("keyfile", "push", "--to", "pi")
	var once sync.Once
	asked := false
	d.Fault("POST /auth", func(w http.ResponseWriter, q *http.Request, process http.Handler) {
		once.Do(func() {
			asked = true
			a := &app{env: &r.env, store: r.dataDir}
			err := a.withDesk(q.Context(), func(d *desk.Desk) error {
				k, list, err := d.Show(q.Context(), "alice")
				if err == nil && (k.State != token.Lost || list[0].Enabled) {
					err = errors.New("the token is " + string(k.State))
				}
				return err
			})
			if err != nil {
				t.Errorf("when the target is asked: %v", err)
			}
		})
		process.ServeHTTP(w, q)
	})
	r.block(exitDone)
	if !asked {
		t.Error("nobody asked")
	}
}

// roundTripper is a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(q *http.Request) (*http.Response, error) { return f(q) }

// TestBlockWithDeadTarget: the own block holds, it is said where the token is still valid, and a retry ends it.
func TestBlockWithDeadTarget(t *testing.T) {
	t.Parallel()
	d := pushtest.NewPrivacyIDEA(t)
	r := newPushRig(t, "privacyidea", d)
	r.must("keyfile", "push", "--to", "pi")
	alive, requests := r.transport, 0
	r.transport = roundTripper(func(*http.Request) (*http.Response, error) {
		requests++
		return nil, errors.New("dead")
	})
	r.block(exitPartly)
	if want := 4 * (1 + len(settlePauses)); requests != want {
		t.Errorf("%d requests, want %d", requests, want)
	}
	said := r.err.String()
	for _, want := range []string{"still valid at pi (" + pushedSerial + ")", "is blocked here, and still valid at pi", "tokendesk keyfile push --retry"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said", want)
		}
	}
	r.wants(exitPartly, "keyfile", "push", "--retry")
	r.transport = alive
	r.must("keyfile", "push", "--retry")
	if d.Token(pushedSerial).Active {
		t.Error("still active")
	}
	if r.block(exitDone); strings.Contains(r.err.String()[len(said):], "blocked here, and still valid") {
		t.Error("said after it was done")
	}
}

// TestInterruptedBlock: Ctrl-C while a target is asked leaves the own block and the rest to a retry.
func TestInterruptedBlock(t *testing.T) {
	t.Parallel()
	d := pushtest.NewPrivacyIDEA(t)
	r := newPushRig(t, "privacyidea", d)
	r.must("keyfile", "push", "--to", "pi")
	alive := r.transport
	var interrupt context.CancelFunc
	r.notify = func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, interrupt = context.WithCancel(ctx)
		return ctx, interrupt
	}
	r.transport = roundTripper(func(q *http.Request) (*http.Response, error) {
		interrupt()
		<-q.Context().Done()
		return nil, q.Context().Err()
	})
	r.block(exitPartly)
	if !strings.Contains(r.err.String(), "is blocked here, and still valid at pi") {
		t.Error("it is not said where the token is still valid")
	}
	r.transport = alive
	r.must("keyfile", "push", "--retry", "alice")
	if d.Token(pushedSerial).Active {
		t.Error("still active")
	}
}
