package sqlstore

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// TestTargetCredentials: they are sealed, each bound to its target.
func TestTargetCredentials(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	var ids []int64
	for _, name := range []string{"one", "two"} {
		id, err := s.AddTarget(t.Context(), push.Server{Name: name, Kind: push.LinOTP, URL: "https://x", Account: "a"}, secret.Copy([]byte("the password of "+name)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for name, file := range p.files(t) {
		if bytes.Contains(file, []byte("the password of")) {
			t.Errorf("%s holds a credential in the clear", name)
		}
	}
	if c, err := p.openStore(t).TargetCredential(t.Context(), ids[1]); err != nil || string(c.Reveal()) != "the password of two" {
		t.Errorf("%v", err)
	}
	execute(t, s, `UPDATE target SET sealed = (SELECT o.sealed FROM target o WHERE o.id <> target.id)`)
	if _, err := s.TargetCredential(t.Context(), ids[0]); !errors.Is(err, token.ErrIntegrity) {
		t.Errorf("swapped: %v", err)
	}
	if _, err := s.TargetCredential(t.Context(), 4711); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}

// TestPushEvents: what the desk chain tells of a push, each thing once.
func TestPushEvents(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	c := harness{s, s}.Add(t, storetest.Sample(1, token.Active))
	d := desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
	target, err := d.AddTarget(t.Context(), push.Server{Name: "pi", Kind: push.PrivacyIDEA, URL: "https://x"}, secret.Copy([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	row, err := s.WantPush(t.Context(), target.ID, c, push.Place{Serial: "S"})
	if err != nil {
		t.Fatal(err)
	}
	try := func(done bool, cause string) {
		t.Helper()
		p, err := s.BeginPush(t.Context(), row.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.EndPush(t.Context(), desk.PushEnd{Push: p, Done: done, Error: cause}); err != nil {
			t.Fatal(err)
		}
	}
	try(false, "no answer")
	try(false, "no answer")
	try(true, "")
	try(true, "")
	harness{s, s}.Block(t, c)
	try(false, "refused")
	try(true, "")
	if err := d.RemoveTarget(t.Context(), "pi", false); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range s.AuditEvents(t.Context(), AuditFilter{Chain: "desk"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Action)
	}
	want := []string{"store.create", "credential.import", "keyfile.import", "target.add", "push.begin", "push.failed", "push.enrolled", "token.block", "push.failed", "push.disabled", "target.remove"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	verifyAudit(t, s)
}
