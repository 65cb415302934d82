package oathapplet_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

const accessKey = "sixteen bytes!!!"

// setCode proves the key by the challenge "hosthost".
func setCode(proof string) string {
	return command("030000", field(0x73, "21"+hex.EncodeToString([]byte(accessKey))), field(0x74, hex.EncodeToString([]byte("hosthost"))), field(0x75, proof))
}

// challenge is what a SELECT asks for; empty without an access code.
func (r *rig) challenge() string {
	r.t.Helper()
	b := unhex(r.t, r.says(selectOATH))
	if len(b) < 27 {
		return ""
	}
	return string(b[17:25])
}

func validate(key, challenge string) string {
	return command("a30000", field(0x75, sha1HMAC(key, challenge)), field(0x74, hex.EncodeToString([]byte("hosthost"))))
}

// TestAccessCode: nothing but VALIDATE and RESET goes while it is locked, on either transport; a session ends with SELECT, with
// another applet, with a reset and with the power; a wrong proof sets nothing, and a wrong answer opens nothing.
func TestAccessCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey543)
	r.says(selectOATH + " " + put("a", "21", 6, 20))
	if got := r.says(setCode(sha1HMAC(accessKey, "other"))); got != "6984" || r.oath.Locked() {
		t.Fatalf("a wrong proof: %s", got)
	}
	if got := r.says(setCode(sha1HMAC(accessKey, "hosthost")) + " " + list); got != "72022161"+ok || !r.oath.HoldsCode([]byte(accessKey)) {
		t.Fatalf("after SET CODE: %s", got)
	}
	locked := func(when string) {
		t.Helper()
		for _, c := range []string{list, put("b", "21", 6, 20), remove("a"), calculate("a"), command("a40001", "7408"+zeros), command("030000", "7300"), command("050000", name("a"), name("b"))} {
			if got := r.says(c); got != "6982" {
				t.Errorf("%s: %s: %s", when, c, got)
			}
		}
	}
	unlock := func() {
		t.Helper()
		if got, want := r.says(validate(accessKey, r.challenge())), "7514"+sha1HMAC(accessKey, "hosthost")+ok; got != want {
			t.Fatalf("VALIDATE: %s, want %s", got, want)
		}
		if got := r.says(list); got != "72022161"+ok {
			t.Fatalf("validated: %s", got)
		}
	}
	first := r.challenge()
	if second := r.challenge(); first == second || first == "" {
		t.Error("the challenge is not fresh")
	}
	locked("selected")
	asked := r.challenge()
	for _, key := range []string{"sixteen bytes!!?", accessKey} {
		if got := r.says(validate(key, asked)); got != "6a80" {
			t.Errorf("a wrong key, then the right one for the same challenge: %s", got)
		}
	}
	locked("after a wrong key")
	if got := r.says(validate(accessKey, first)); got != "6a80" {
		t.Errorf("an old challenge: %s", got)
	}
	unlock()
	for when, between := range map[string]func(){
		"another SELECT": func() { r.says(selectOATH) },
		"another applet": func() { r.says(selectMgmt + " " + selectOATH) },
		"a reset":        func() { r.key.Card().Reset(); r.says(selectOATH) },
		"a power cycle":  func() { r.key.PowerCycle(); r.says(selectOATH) },
	} {
		unlock()
		between()
		locked(when)
	}
	unlock()
	if _, err := r.key.NFC().Transmit(unhex(t, selectOATH)); err != nil {
		t.Fatal(err)
	}
	if got, err := r.key.NFC().Transmit(unhex(t, list)); err != nil || hex.EncodeToString(got) != "6982" {
		t.Errorf("over NFC: %x, %v", got, err)
	}
	if got := r.says(command("030000", "7300")); got != ok || r.oath.Locked() || r.challenge() != "" {
		t.Errorf("removed: %s", got)
	}
}

// TestReset takes everything, without the access code, and draws another salt.
func TestReset(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey543)
	salt := r.oath.Salt()
	r.says(selectOATH + " " + put("a", "21", 6, 20) + " " + setCode(sha1HMAC(accessKey, "hosthost")) + " " + selectOATH)
	if got := r.says(reset + " " + list); got != ok || r.oath.Locked() || len(r.oath.Accounts()) != 0 || r.oath.Salt() == salt {
		t.Errorf("after RESET: %s", got)
	}
}

// TestRelock: a NEO wants SELECT and VALIDATE again after SET CODE.
func TestRelock(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKeyNEO)
	if got := r.says(selectOATH + " " + setCode(sha1HMAC(accessKey, "hosthost")) + " " + list); got != "6982" {
		t.Fatal(got)
	}
	if got := r.says(validate(accessKey, strings.Repeat("\x00", 8))); got != "6a80" {
		t.Errorf("without a challenge: %s", got)
	}
	if got := r.says(validate(accessKey, r.challenge()) + " " + list); got != ok {
		t.Error(got)
	}
}
