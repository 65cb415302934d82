package provision_test

import (
	"reflect"
	"testing"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestFromProfile: the defaults of a kind ask for nothing but the kind, and each setting arrives.
func TestFromProfile(t *testing.T) {
	t.Parallel()
	for _, k := range profile.Kinds() {
		s := provision.FromProfile(profile.New("plain", k))
		if s.Kind != k || s.Slot != 2 || s.AccessCode != provision.RandomCode || s.Options != (provision.Options{}) || (s.PublicID == provision.FromSerial) != (k == token.YubicoOTP) {
			t.Errorf("%s: %+v", k, s)
		}
	}
	p := profile.New("x", token.YubicoOTP)
	p.Slot, p.PublicID, p.AccessCode, p.Verify, p.Overwrite, p.Reason = 1, "random", "keep", token.NoProof, "factory", "new"
	p.Enter, p.FastTrigger, p.Updatable, p.Pacing = false, false, false, 60
	want := provision.Spec{
		Slot: 1, Kind: token.YubicoOTP, PublicID: provision.Random, AccessCode: provision.KeepCode, Verify: token.NoProof, Overwrite: provision.Factory, Reason: "new",
		Options: provision.Options{
			Set:   ykslot.Flags{Config: ykslot.Pacing10ms | ykslot.Pacing20ms},
			Clear: ykslot.Flags{Ticket: ykslot.AppendCR, Ext: ykslot.FastTrig | ykslot.AllowUpdate},
		},
	}
	if got := provision.FromProfile(p); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for text, want := range map[string]provision.Options{
		"kind = hotp\ndigits = 8\nmoving-factor = 32":                 {Digits: 8, MovingFactor: 32},
		"kind = challenge-response\nbutton = yes\nchallenge = yubico": {Touch: true, Challenge: provision.YubicoChallenge},
		"kind = challenge-response\nfixed-length = yes":               {FixedLength: true},
		"kind = static\npassword = ticket":                            {Password: provision.Ticket, Length: 32},
		"kind = static\nlayout = de\nlength = 12\npacing = 20":        {Layout: "de", Length: 12, Set: ykslot.Flags{Config: ykslot.Pacing10ms}},
	} {
		p, err := profile.Parse("name = x\n" + text)
		if got := provision.FromProfile(p); err != nil || got.Options != want {
			t.Errorf("%s: %+v, %v", text, got.Options, err)
		}
	}
}
