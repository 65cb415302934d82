package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// rig runs the program in the test's process, on one virtual key that is touched whenever the program waits for it.
type rig struct {
	env
	t        testing.TB
	key      *vkey.Key
	out, err bytes.Buffer // everything that was said, of all runs
	nonce    int
	drawn    []named // keys and passphrases of key files
}

const rigSerial = 7654321

func newRig(t testing.TB, slot int) *rig {
	t.Helper()
	began := time.Now()
	r := &rig{t: t, key: vkey.New(vkey.YubiKey543, vkey.Options{Serial: rigSerial})}
	r.applets()
	r.env = env{
		stdin: strings.NewReader(""), stdout: &r.out, stderr: &r.err,
		now: time.Now, uptime: func() time.Duration { return time.Since(began) }, clock: systemClock, rand: rand.Reader, user: "tester", dataDir: filepath.Join(t.TempDir(), "store"),
		bus: virtualBus{r.key, slot}, touchWait: time.Minute,
		pause:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		tick:   func() (<-chan time.Time, func()) { return nil, func() {} },
		pace:   func() (<-chan time.Time, func()) { return nil, func() {} },
		notify: context.WithCancel,
	}
	return r
}

// applets installs what the smart card has beside the slots. Somebody touches the key when a command waits for it.
func (r *rig) applets() {
	oathapplet.Install(r.key, oathapplet.Options{})
	pivapplet.Install(r.key, pivapplet.Options{})
	r.key.OnTouchWait(func() bool { return true })
}

// run calls the program and returns its exit code.
func (r *rig) run(words ...string) exitCode {
	r.t.Helper()
	return run(r.t.Context(), &r.env, words)
}

// must calls the program and wants exit code 0.
func (r *rig) must(words ...string) {
	r.t.Helper()
	if code := r.run(words...); code != exitDone {
		r.t.Fatalf("tokendesk %s: exit code %d\n%s", strings.Join(words, " "), code, r.err.String())
	}
}

// typed presses the key once no program holds it: what is pressed before goes to that program. A touch that a killed program had asked for may
// have come after its end.
func (r *rig) typed(slot int) string {
	r.t.Helper()
	r.released()
	_ = r.key.Typed()
	if !r.key.Touch(slot) {
		r.t.Fatalf("slot %d types nothing", slot)
	}
	return strings.TrimSpace(r.key.Typed())
}

// open opens the store as the program does.
func (r *rig) open() *sqlstore.Store {
	r.t.Helper()
	a := &app{env: &r.env, store: r.dataDir}
	if err := a.chooseStore(false); err != nil {
		r.t.Fatal(err)
	}
	st, err := a.openStore(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = st.Close() })
	return st
}

// serving is serve without a socket, after it was changed, and its handler.
func (r *rig) serving(change ...func(*serving)) (*serving, http.Handler) {
	r.t.Helper()
	a := &app{env: &r.env, store: r.dataDir}
	s := a.newServing(r.open(), slog.New(slog.DiscardHandler), serveOptions{role: roleAll})
	if err := s.newWatch(); err != nil {
		r.t.Fatal(err)
	}
	for _, c := range change {
		c(s)
	}
	h, err := s.handler()
	if err != nil {
		r.t.Fatal(err)
	}
	return s, h
}

// agree fails unless store and key agree about a slot: nothing is open; if the key holds something in the slot, the store
// has one live credential there with just that secret and access code, and an OTP of it verifies; if it holds nothing,
// the store has none. drawn is how many secrets the slot may have had altogether.
func (r *rig) agree(slot, drawn int) {
	r.t.Helper()
	st := r.open()
	open, err := st.Open(r.t.Context())
	if err != nil || len(open) != 0 {
		r.t.Fatalf("%d entries open, %v", len(open), err)
	}
	have, live, err := st.Slots(r.t.Context(), rigSerial)
	if errors.Is(err, token.ErrNotFound) && r.key.Slot(slot).Kind == vkey.Empty {
		return
	}
	if err != nil {
		r.t.Fatal(err)
	}
	all, err := st.Credentials(r.t.Context(), have.ID)
	if err != nil || len(all) > drawn {
		r.t.Fatalf("%d credentials, want at most %d, %v", len(all), drawn, err)
	}
	if r.key.Slot(slot).Kind == vkey.Empty {
		if len(live) != 0 {
			r.t.Fatalf("the slot is empty, the store has %d live credentials", len(live))
		}
		return
	}
	if len(live) != 1 || live[0].Slot != token.Slot(slot) {
		r.t.Fatalf("%d live credentials", len(live))
	}
	s := live[0].Secrets
	if !r.key.Holds(slot, append(append([]byte{}, s.Key.Reveal()...), s.PrivateID.Reveal()...)) {
		r.t.Fatal("the slot holds another secret than the store")
	}
	if protected := r.key.Slot(slot).Protected; protected != (s.AccessCode.Len() > 0) ||
		protected && !r.key.HoldsAccessCode(slot, [6]byte(s.AccessCode.Reveal())) {
		r.t.Fatal("the slot has another access code than the store")
	}
	r.stdin = strings.NewReader(r.typed(slot))
	r.must("verify")
}
