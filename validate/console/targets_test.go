package console_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/console"
)

// elsewhere is another server, which may be down.
type elsewhere struct{ down *atomic.Bool }

func (e elsewhere) Loss(keyfile.Record) []keyfile.Loss { return nil }

func (e elsewhere) Enrol(context.Context, keyfile.Record, push.Place) (push.Result, error) {
	return push.Result{Status: push.Enrolled}, nil
}

func (e elsewhere) Disable(context.Context, push.Place) (push.Result, error) {
	if e.down.Load() {
		return push.Result{}, &push.UnreachableError{}
	}
	return push.Result{Status: push.Disabled}, nil
}

func (e elsewhere) Enable(context.Context, keyfile.Record, push.Place) (push.Result, error) {
	return push.Result{Status: push.Enabled}, nil
}

func (e elsewhere) State(context.Context, push.Place) (push.State, error) { return push.Active, nil }

// TestOtherServers: a block reaches them; where one does not answer the page says that the token is still valid there, and looks
// again, but not for ever.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	s, _ := crowd(t)
	var down atomic.Bool
	connect := func(push.Server, secret.Bytes) (push.Target, error) { return elsewhere{&down}, nil }
	if _, err := s.desk.AddTarget(t.Context(), push.Server{Name: "the cluster", Kind: push.PrivacyIDEA, URL: "https://pi.example"}, secret.New([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	phone := s.app("ada", "new phone")
	_, results, err := s.desk.Push(t.Context(), connect, "the cluster", desk.ByID(phone.token.ID))
	if err != nil {
		t.Fatal(err)
	}
	for p, err := range results {
		if err != nil || p.Outcome != desk.Enrolled {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	c := s.config
	c.Settle = func(ctx context.Context, id token.ID) {
		for _, err := range s.desk.Settle(ctx, connect, id) {
			if err != nil {
				t.Error(err)
			}
		}
	}
	s.server.Close()
	s.server = httptest.NewServer(console.New(c))
	b := s.loggedIn("grace", desk.RoleHelpdesk)
	path := "/console/tokens/" + strings.TrimPrefix(desk.ByID(phone.token.ID), "token ")
	wants(t, "before", b.get(path), "the cluster</b>: enrolled")
	s.clock.add(time.Minute)
	down.Store(true)
	a := b.post(path+"/block", "reason", "lost")
	wants(t, "down", a, "Still valid at the cluster", `http-equiv="refresh"`, "Blocked here")
	wants(t, "the token", b.get(path), "Still valid at the cluster", "It is still valid at the cluster.")
	s.clock.add(5 * time.Minute)
	if a := b.get(path + "/blocked"); strings.Contains(a.body, "refresh") || !strings.Contains(a.body, "Still valid at the cluster") {
		t.Error("the page looks again for ever: the session would never end")
	}
	wants(t, "later", b.get(path+"/blocked"), "has not confirmed the block", "Ask them again")
	down.Store(false)
	b.post(path + "/settle")
	a = b.get(path + "/blocked")
	wants(t, "up again", a, "the cluster</b>: disabled at")
	if strings.Contains(a.body, "Still valid") {
		t.Error("it is still said to be valid")
	}
	wants(t, "undone", b.post(path+"/undo"), "the cluster</b>: enabled")
}
