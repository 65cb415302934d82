package main

import (
	"context"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	client "github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestPasswordAsked: at a terminal the password of a key's OATH application is asked for once, tried once, and set only if it was typed
// twice alike. What the store knows is not asked for.
func TestPasswordAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.stdinTTY = true
	var answers []string
	asked := 0
	r.readSecret = func(context.Context) (string, error) {
		asked++
		text := answers[0]
		answers = answers[1:]
		return text, nil
	}
	tried := func() int { return oathapplet.Of(r.key).Ran()[0xa3] }
	r.must("init")
	answers = []string{"one", "two"}
	if code := r.run("oath", "password"); code != exitUsage || oathapplet.Of(r.key).Locked() {
		t.Errorf("typed differently: exit code %d", code)
	}
	answers = []string{"right", "right"}
	r.must("oath", "password")
	kept, err := r.open().Escrows(t.Context(), rigSerial, token.OATHPassword)
	if err != nil || len(kept) != 1 || !kept[0].Held || !kept[0].Secret.Equal(secret.Copy([]byte("right"))) {
		t.Fatalf("%d are kept, %v", len(kept), err)
	}
	asked = 0
	r.must("oath", "list")
	if asked != 0 {
		t.Error("asked for what the store knows")
	}
	other := newRig(t, 2)
	other.key, other.bus = r.key, r.bus
	other.stdinTTY, other.readSecret = true, r.readSecret
	other.must("init")
	before := tried()
	answers = []string{"wrong", "right"}
	if code := other.run("oath", "list"); code != exitRefused || asked != 1 || tried() != before+1 {
		t.Errorf("a wrong password: exit code %d, asked %d times, tried %d times", code, asked, tried()-before)
	}
	before, answers = tried(), []string{"right"}
	other.must("oath", "list")
	if asked != 2 || tried() != before+1 {
		t.Errorf("the right one: asked %d times, tried %d times", asked-1, tried()-before)
	}
	key := client.DeriveKey(kept[0].Secret, oathapplet.Of(r.key).Salt())
	if !oathapplet.Of(r.key).HoldsCode(key.Reveal()) {
		t.Error("the key has another password")
	}
}
