package main

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// TestDeskTellsCertificates: who replaces a key at a desk is told of certificates that let in whoever has the old one, at once and at the end.
func TestDeskTellsCertificates(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.adasKey()
	ring, err := newKeyring()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.close)
	if err := ring.plug("b", vkey.New(vkey.YubiKey543, vkey.Options{Serial: 1002}), plugged{Driver: "usbhid"}); err != nil {
		t.Fatal(err)
	}
	var events, said strings.Builder
	cmd := r.program(ring.dir, 2, "provision", "desk", "--slot", "2", "-o", "json")
	cmd.Env = append(cmd.Env, "TICK=4ms")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("ada\nreplace 7654321\nstaff-card\n"), &events, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, events.String(), said.String())
	}
	const line = "serial 7654321 (ada), " + saidCertificate
	if n := strings.Count(events.String(), `"to_revoke":["`+strings.TrimSpace(line)+`"]`); n != 1 {
		t.Errorf("told %d times\n%s", n, events.String())
	}
	if !strings.Contains(said.String(), line) {
		t.Errorf("not said at the end:\n%s", said.String())
	}
}
