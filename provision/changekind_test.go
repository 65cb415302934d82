package provision

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// A slot is not updated as of a kind that it does not hold, nor is one emptied without which the key could not be found again.
func TestRefusedByWhatSlotsHold(t *testing.T) {
	t.Parallel()
	in := func(slot token.Slot, ext ykslot.ExtFlag) token.Credential {
		return token.Credential{ID: token.CredentialID(slot), Kind: token.YubicoOTP, Slot: slot, Settings: token.Settings{ExtFlags: uint8(ext), TicketFlags: 0x20}}
	}
	have := func(live ...token.Credential) Have {
		return Have{Serial: serial, Version: ykslot.Version{Major: 5, Minor: 4, Patch: 3}, InUse: [2]bool{true, true}, Live: live}
	}
	const shown = ykslot.SerialAPIVisible | ykslot.AllowUpdate
	as := func(k token.Kind) func(Have) (token.SlotChange, error) {
		return update(func(u *UpdateSpec) { u.Set.Ext, u.Kind, u.Complete = shown|ykslot.LEDInv, k, true })
	}
	for name, tc := range map[string]struct {
		build func(Have) (token.SlotChange, error)
		have  Have
		want  error
	}{
		"no kind":                   {as("foo"), have(), ErrBadSpec},
		"another kind than ours":    {as(token.Static), have(in(2, shown)), ErrBadSpec},
		"the kind of ours":          {as(token.YubicoOTP), have(in(2, shown)), nil},
		"a kind of one not ours":    {as(token.Static), have(), nil},
		"erase what shows it":       {erase, have(in(1, ykslot.AllowUpdate), in(2, shown)), ErrHidden},
		"erase beside one shown":    {erase, have(in(1, shown), in(2, shown)), nil},
		"erase beside one imported": {erase, have(token.Credential{Slot: 1, Kind: token.YubicoOTP}, in(2, shown)), nil},
	} {
		_, err := tc.build(tc.have)
		var refused *RefusedError
		if !errors.Is(err, tc.want) || tc.want != nil && !errors.As(err, &refused) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}
