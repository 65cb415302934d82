package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// TestInstead: what is to be used instead is read by the same server, not by one with a name like it.
func TestInstead(t *testing.T) {
	t.Parallel()
	short := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Key = sample.Hex(sample.SeedCarol) })
	for _, tc := range []struct {
		target    string
		rec       keyfile.Record
		says, not string
	}{
		{"privacyidea", short, "--for privacyidea-pskc", "linotp"},
		{"google-authenticator", sample.Dave(), "pskc", "--for google-authenticator-app"},
		{"google-authenticator", sample.Bob(), "oath-csv", "--for google-authenticator-app"},
		{"pam-oath", sample.First(), "yubico-csv", "--for pam-yubico"},
	} {
		target, ok := codecs.TargetByName(tc.target)
		if !ok {
			t.Fatal(tc.target)
		}
		refused := keyfile.Refused(tc.target, tc.rec, target.Loss(tc.rec))
		if refused == nil {
			t.Fatalf("%s takes %s", tc.target, tc.rec.Name())
		}
		var p *problem
		if !errors.As(instead(refused, destination{target.Codec, &target}, tc.rec), &p) {
			t.Fatalf("%s: no problem", tc.target)
		}
		if got := strings.Join(p.hints, "; "); !strings.Contains(got, tc.says) || strings.Contains(got, tc.not) {
			t.Errorf("%s, %s: %s", tc.target, tc.rec.Name(), got)
		}
	}
}
