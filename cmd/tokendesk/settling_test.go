package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push/pushtest"
)

// TestSettling: a target that is down when a program blocks a token is told when it is back, without anybody's doing, and of a
// restore. What somebody is enrolling is left to them until the block.
func TestSettling(t *testing.T) {
	t.Parallel()
	d := pushtest.NewPrivacyIDEA(t)
	r := newPushRig(t, "privacyidea", d)
	r.must("keyfile", "push", "--to", "pi")
	r.stdin = strings.NewReader(pushtest.Password + "\n")
	r.must("target", "add", "lo", "--kind", "linotp", "--url", "https://lo.example", "--account", "a")
	alive := r.transport
	var dead atomic.Bool
	var others atomic.Int64
	r.transport = roundTripper(func(q *http.Request) (*http.Response, error) {
		if q.URL.Host == "lo.example" {
			others.Add(1)
		} else if !dead.Load() {
			return alive.RoundTrip(q)
		}
		return nil, errors.New("dead")
	})
	r.wants(exitPartly, "keyfile", "push", "--to", "lo")
	before := others.Load()
	p := &program{t: t, staff: r.operator("grace", "helpdesk")}
	ticks, stopped := make(chan time.Time), make(chan bool, 1)
	r.pace = func() (<-chan time.Time, func()) { return ticks, func() { stopped <- true } }
	tick := func() { // the second is taken when the first was worked off, and all that was kicked before
		ticks <- time.Time{}
		ticks <- time.Time{}
	}
	var log strings.Builder
	a := &app{env: &r.env, store: r.dataDir}
	kick, wait := a.settling(t.Context(), a.desk(r.open()), slog.New(slog.NewTextHandler(&log, nil)))
	here, h := r.serving(func(s *serving) { s.settle = kick })
	answered := here.wait
	served := httptest.NewServer(h)
	defer served.Close()
	s := &server{address: strings.TrimPrefix(served.URL, "http://")}
	if tick(); before == 0 || others.Load() != before {
		t.Errorf("%d requests for what is to be enrolled, %d by its push", others.Load(), before)
	}
	dead.Store(true)
	if at := fmt.Sprint(p.post(s, "/api/v1/tokens/1/lost", map[string]any{})["still_valid_at"]); at != "[pi lo]" {
		t.Errorf("still valid at %s", at)
	}
	answered()
	if tick(); !d.Token(pushedSerial).Active || others.Load() == before {
		t.Error("the targets were not down, or not asked")
	}
	dead.Store(false)
	if tick(); d.Token(pushedSerial).Active {
		t.Error("still active")
	}
	p.post(s, "/api/v1/tokens/1/restore", map[string]any{"codes": []string{r.typed(2)}})
	answered()
	tick()
	wait()
	if !d.Token(pushedSerial).Active {
		t.Error("not active again")
	}
	if !<-stopped || strings.Count(log.String(), "target=pi") != 3 || strings.Count(log.String(), "outcome=disabled still_valid=false") != 1 {
		t.Error(log.String())
	}
}
