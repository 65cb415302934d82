package usersoath_test

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/googleauth"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/usersoath"
)

// The tests of this file let PAM modules log people in with the files that this package and its sisters write.

func TestPamOath(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users.oath")
	s := newService(t, "pam_oath.so", "usersfile="+file, "window=5", "digits=6")
	bob := sample.With(sample.Bob(), func(r *keyfile.Record) { r.Digits = 6 })
	minute := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Owner, r.Period, r.Key = "erin", time.Minute, sample.Hex(sample.SeedDave) })
	export(t, usersoath.Codec{}, file, sample.Alice(), sample.Carol(), bob, minute)
	s.expect(t, "counter 0", "alice", "077987", true)
	s.expect(t, "replay", "alice", "077987", false)
	totp := code(t, sample.SeedCarol, "--totp")
	s.expect(t, "TOTP", "carol", totp, true)
	s.expect(t, "replay", "carol", totp, false)
	s.expect(t, "counter 42", "bob", code(t, sample.SeedBob, "-c", "42"), true)
	s.expect(t, "older", "bob", code(t, sample.SeedBob, "-c", "41"), false)
	s.expect(t, "look-ahead", "bob", code(t, sample.SeedBob, "-c", "44"), true)
	s.expect(t, "60 seconds, 32 bytes", "erin", code(t, sample.SeedDave, "--totp", "-s", "60s"), true)
	s.expect(t, "another's code", "carol", code(t, sample.SeedDave, "--totp", "-s", "60s"), false)

	// What the module wrote back names the next code.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int64{}
	recs, errs := sample.Decode(usersoath.Codec{}, string(text))
	for _, r := range recs {
		next[r.Owner] = r.Counter
	}
	if len(errs) > 0 || len(recs) != 4 || next["alice"] != 1 || next["bob"] != 45 {
		t.Errorf("%v, next counters %v", errs, next)
	}
	export(t, usersoath.Codec{}, file, recs...)
	s.expect(t, "written again: used", "bob", code(t, sample.SeedBob, "-c", "44"), false)
	s.expect(t, "written again: next", "bob", code(t, sample.SeedBob, "-c", "45"), true)
}

// What Loss refuses is really refused there: the codes are right, and nobody is let in.
func TestPamOathIsBlind(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users.oath")
	s := newService(t, "pam_oath.so", "usersfile="+file, "window=5", "digits=6")
	write(t, file, "HOTP/T30/6\tdave\t-\t"+sample.SeedDave+"\nHOTP/T15/6\tcarol\t-\t"+sample.SeedCarol+"\nHOTP/E/6\tbob\t-\t"+sample.SeedDave+"00\t0\n")
	s.expect(t, "SHA-256", "dave", code(t, sample.SeedDave, "--totp=SHA256"), false)
	s.expect(t, "15 seconds", "carol", code(t, sample.SeedCarol, "--totp", "-s", "15s"), false)
	s.expect(t, "33 bytes", "bob", code(t, sample.SeedDave+"00", "-c", "0"), false)
}

// newGoogle is the module with a file for each account in dir.
func newGoogle(t *testing.T, dir string) service {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return newService(t, "pam_google_authenticator.so", "user="+me.Username, "secret="+dir+"/${USER}")
}

func TestPamGoogleAuthenticator(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newGoogle(t, dir)
	minute := sample.With(sample.Carol(), func(r *keyfile.Record) { r.Owner, r.Period = "erin", time.Minute })
	for _, r := range []keyfile.Record{sample.Carol(), sample.Alice(), minute} {
		export(t, googleauth.Codec{}, filepath.Join(dir, r.Owner), r)
	}
	totp := code(t, sample.SeedCarol, "--totp")
	s.expect(t, "TOTP", "carol", totp, true)
	s.expect(t, "replay", "carol", totp, false)
	s.expect(t, "60 seconds", "erin", code(t, sample.SeedCarol, "--totp", "-s", "60s"), true)
	// A token at counter 0, as the note says: the first code is thrown away.
	s.expect(t, "the second code", "alice", code(t, sample.SeedAlice, "-c", "1"), true)
	s.expect(t, "replay", "alice", code(t, sample.SeedAlice, "-c", "1"), false)

	text, err := os.ReadFile(filepath.Join(dir, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	// The module counts the failed attempt too.
	if recs, errs := sample.Decode(googleauth.Codec{}, string(text)); len(errs) > 0 || len(recs) != 1 || recs[0].Counter != 3 {
		t.Errorf("%v, %+v", errs, recs)
	}
}

// A token at counter 0 whose owner submits every press is never let in; k+1 presses thrown away after k failed logins help.
func TestGoogleAuthenticatorsCounterZero(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newGoogle(t, dir)
	export(t, googleauth.Codec{}, filepath.Join(dir, "alice"), sample.Alice())
	s.expect(t, "first press", "alice", code(t, sample.SeedAlice, "-c", "0"), false)
	s.expect(t, "second press", "alice", code(t, sample.SeedAlice, "-c", "1"), false)
	s.expect(t, "after three more", "alice", code(t, sample.SeedAlice, "-c", "5"), true)
}

// Seeds of every length and counters beyond 32 bits come out of the file as they went in.
func TestGoogleAuthenticatorsSeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newGoogle(t, dir)
	for i, n := range []int{10, 11, 12, 13, 14, 16, 20, 32, 33, 64} {
		seed, counter := strings.Repeat("a17f", 32)[:2*n], int64(1)<<(4*i)
		rec := sample.With(sample.Alice(), func(r *keyfile.Record) {
			r.Owner, r.Key, r.Counter = fmt.Sprintf("ada%d", n), sample.Hex(seed), counter
		})
		export(t, googleauth.Codec{}, filepath.Join(dir, rec.Owner), rec)
		s.expect(t, fmt.Sprintf("%d bytes, counter %d", n, counter), rec.Owner, code(t, seed, "-c", fmt.Sprint(counter)), true)
	}
}

// What Loss and Decode refuse, the module refuses.
func TestGoogleAuthenticatorRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newGoogle(t, dir)
	const carol = "CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI"
	now := code(t, sample.SeedCarol, "--totp")
	for i, tc := range []struct{ name, text, code string }{
		{"padding", "CJHXTKA5C7KP6I24HY======\n\" TOTP_AUTH\n", code(t, "124f79a81d17d4ff235c3e", "--totp")},
		{"SHA-256", carol + "\n\" TOTP_AUTH\n", code(t, sample.SeedCarol, "--totp=SHA256")},
		{"8 digits", carol + "\n\" TOTP_AUTH\n", code(t, sample.SeedCarol, "--totp", "-d", "8")},
		{"period", carol + "\n\" STEP_SIZE 61\n\" TOTP_AUTH\n", code(t, sample.SeedCarol, "--totp", "-s", "61s")},
		{"window", carol + "\n\" WINDOW_SIZE 101\n\" TOTP_AUTH\n", now},
		{"counter 0", carol + "\n\" HOTP_COUNTER 0\n", code(t, sample.SeedCarol, "-c", "0")},
		{"no mode", carol + "\n\" WINDOW_SIZE 3\n", now},
		{"byte-order mark", "\xEF\xBB\xBF" + carol + "\n\" TOTP_AUTH\n", now},
	} {
		account := fmt.Sprintf("ada%d", i)
		write(t, filepath.Join(dir, account), tc.text)
		s.expect(t, tc.name, account, tc.code, false)
	}
}
