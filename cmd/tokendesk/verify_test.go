package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// TestVerifyLayouts: what a key typed on a Russian layout is named, and accepted where that is asked for.
func TestVerifyLayouts(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	if code := r.run("init"); code != exitDone {
		t.Fatal(r.err.String())
	}
	if code := r.run("provision", "--slot", "2", "--verify", "none"); code != exitDone {
		t.Fatal(r.err.String())
	}
	all := modhex.Layouts()
	russian := all[slices.IndexFunc(all, func(l modhex.Layout) bool { return l.Name == "Russian" })]
	typed, ok := russian.Type(strings.TrimSpace(r.typed(2)))
	if !ok {
		t.Fatal("cannot be typed")
	}
	verify := func(want exitCode, said string, args ...string) {
		t.Helper()
		r.stdin = strings.NewReader(typed + "\n")
		r.out.Reset()
		r.err.Reset()
		code := r.run(append([]string{"verify"}, args...)...)
		if all := r.out.String() + r.err.String(); code != want || !strings.Contains(all, said) || strings.Contains(all, typed[:20]) {
			t.Errorf("%q: exit code %d: %s", args, code, all)
		}
	}
	verify(exitVerify, "it decrypts if the keyboard is", "--explain")
	verify(exitDone, "typed on another keyboard layout: ", "--accept-layouts")
	verify(exitVerify, "same OTP again", "--accept-layouts")
}

// TestVerifyDigitRow: a HOTP code that a key typed on a French digit row is named, and accepted where that is asked for.
func TestVerifyDigitRow(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	seed := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(seed, []byte("3132333435363738393031323334353637383930"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.must("init")
	r.must("person", "add", "ada")
	r.must("token", "add", "--type", "hotp", "--encoding", "hex", "--label", "D1", "--secret-file", seed)
	r.stdin = strings.NewReader("755224\n") // the codes of RFC 4226, appendix D
	r.must("token", "issue", "D1", "--to", "ada", "--id-check", "known")
	all := modhex.Layouts()
	french := all[slices.IndexFunc(all, func(l modhex.Layout) bool { return l.Name == "French" })]
	typed, ok := french.Type("287082")
	if !ok {
		t.Fatal("cannot be typed")
	}
	for _, tc := range []struct {
		flag string
		want exitCode
		said string
	}{
		{"--explain", exitVerify, "D06"},
		{"--accept-layouts", exitDone, "OK"},
		{"--accept-layouts", exitVerify, "same OTP again"},
	} {
		r.stdin = strings.NewReader(typed + "\n")
		r.out.Reset()
		r.err.Reset()
		if code := r.run("verify", "--person", "ada", tc.flag); code != tc.want || !strings.Contains(r.out.String()+r.err.String(), tc.said) {
			t.Errorf("%s: exit code %d: %s%s", tc.flag, code, r.out.String(), r.err.String())
		}
	}
}

// TestVerifySupportCode: a kept refusal is found by what a caller reads out, in any spelling.
func TestVerifySupportCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	if code := r.run("init"); code != exitDone {
		t.Fatal(r.err.String())
	}
	st := r.open()
	d := &diagnose.Doctor{Store: st, Now: r.env.now}
	kept := diagnose.Attempt{Client: 3, Source: "192.0.2.7", Findings: []diagnose.Finding{{Code: "D20", Title: "older than the last", Evidence: "counters"}}}
	if err := d.Keep(t.Context(), "7KM4Q2X9", kept); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"7KM4-Q2X9"}, {"7km4 q2x9", "-o", "json"}} {
		r.out.Reset()
		code := r.run(append([]string{"verify", "--support-code"}, args...)...)
		if got := r.out.String(); code != exitDone || !strings.Contains(got, "7KM4-Q2X9") || !strings.Contains(got, "192.0.2.7") || !strings.Contains(got, "D20") {
			t.Errorf("%q: %d, %s", args, code, got)
		}
	}
}
