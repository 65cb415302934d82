package oathaccount_test

import (
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestSameSecretAgain: an HOTP account that gets its former secret once more goes on counting; another secret begins where it says.
func TestSameSecretAgain(t *testing.T) {
	t.Parallel()
	v := ykslot.Version{Major: 5, Minor: 4, Patch: 3}
	a := oathapplet.Account{Name: "ada", Kind: token.HOTP, Hash: oath.SHA1, Digits: 6}
	former := &token.Credential{Kind: token.HOTP, Settings: oathaccount.SettingsOf(a, 0), State: token.Active, Secrets: token.Secrets{Key: secret.Copy([]byte("former secret\x00"))}}
	former.Counters.Moving = 41
	for _, tc := range []struct {
		seed      string
		elsewhere bool
		want      int64
	}{
		{"former secret", false, 42}, {"former secret\x00", false, 42}, {"another secret", false, 3}, {"", false, 3}, {"former secret", true, 3},
	} {
		want := oathaccount.Spec{Account: a, Seed: secret.Copy([]byte(tc.seed)), Moving: 3, Elsewhere: tc.elsewhere, Verify: token.ByHost}
		p, err := oathaccount.BuildPlan(want, oathaccount.Have{Serial: 1, Firmware: v, Applet: v, Former: former, Class: provision.Ours})
		if err != nil || p.Reservation.Settings.FirstMoving != tc.want {
			t.Errorf("%q, elsewhere %t: begins at %d, %v; want %d", tc.seed, tc.elsewhere, p.Reservation.Settings.FirstMoving, err, tc.want)
		}
	}
}
