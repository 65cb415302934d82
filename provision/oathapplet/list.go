package oathapplet

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// maxAccounts bounds what a key can make us ask for; the largest hold 64 (reference yubikey-otp.md §6.3).
const maxAccounts = 1024

// List is the accounts on the key, in its order, without Digits and Touch, which it does not tell. Names are the key's, in
// whatever bytes.
func (s *Session) List(ctx context.Context) ([]Account, error) {
	answer, err := s.ask(ctx, apdu.Command{Instruction: insList}, nil)
	if err != nil {
		return nil, fmt.Errorf("list OATH accounts: %w", err)
	}
	var list []Account
	for item, err := range apdu.Items(answer) {
		if err != nil {
			return nil, fmt.Errorf("list OATH accounts: %w", err)
		}
		a, ok := parseEntry(item)
		if !ok || len(list) == maxAccounts {
			return nil, fmt.Errorf("list OATH accounts: %w: entry %d is none, or one too many", apdu.ErrProtocol, len(list)+1)
		}
		list = append(list, a)
	}
	return list, nil
}

// parseEntry reads one entry: type and hash ‖ ID.
func parseEntry(item apdu.TLV) (Account, bool) {
	if item.Tag != tagEntry || len(item.Value) == 0 {
		return Account{}, false
	}
	kinds := map[byte]token.Kind{typeHOTP: token.HOTP, typeTOTP: token.TOTP}
	kind, ok := kinds[item.Value[0]&typeMask]
	if !ok {
		return Account{}, false
	}
	a := ParseID(string(item.Value[1:]), kind)
	a.Hash = hashOf(item.Value[0] & hashMask)
	return a, true
}
