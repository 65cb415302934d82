package oathapplet

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// Bits of the byte in front of a key's digits. Source: reference yubikey-otp.md §6.2.
const (
	typeMask = 0xF0
	typeHOTP = 0x10
	typeTOTP = 0x20
	hashMask = 0x0F
)

const propertyTouch = 0x02

// MaxMoving is the largest moving factor that an HOTP account can begin with.
const MaxMoving = math.MaxUint32

// Put adds an account. seed is its HMAC key, 1 byte or more, and stays the caller's; moving is the counter of an HOTP account's
// first code, 0 for TOTP. Before anything is written it fails with an *ExistsError if that would overwrite an account, an
// *AccountError, or a *ykslot.UnsupportedError. It wraps ErrFull where the key has no room.
func (s *Session) Put(ctx context.Context, a Account, seed secret.Bytes, moving int64) error {
	return s.put(ctx, a, seed, moving, false)
}

// Replace is Put, but overwrites an account of the same ID. Another one that would be overwritten too is an *ExistsError.
func (s *Session) Replace(ctx context.Context, a Account, seed secret.Bytes, moving int64) error {
	return s.put(ctx, a, seed, moving, true)
}

// Check is how Put, or Replace, would fail before it writes.
func (s *Session) Check(ctx context.Context, a Account, seed secret.Bytes, moving int64, replace bool) error {
	if err := Supported(s.info.Version, a, seed.Len(), moving); err != nil {
		return err
	}
	list, err := s.List(ctx)
	if err != nil {
		return err
	}
	return inTheWay(s.info.Version, list, a.ID(), replace)
}

// Supported is nil if firmware v holds such an account with a seed of n bytes and a first moving factor; otherwise an
// *AccountError or a *ykslot.UnsupportedError.
func Supported(v ykslot.Version, a Account, n int, moving int64) error {
	if err := a.Check(); err != nil {
		return err
	}
	if err := checkSeed(n, a.Hash); err != nil {
		return err
	}
	switch {
	case a.Kind == token.TOTP && moving != 0:
		return &AccountError{"counter", "a TOTP account has none"}
	case moving < 0 || moving > MaxMoving:
		return &AccountError{"counter", fmt.Sprintf("it is 0 to %d", int64(MaxMoving))}
	case a.Touch && !v.AtLeast(4, 2, 6):
		return &ykslot.UnsupportedError{What: "an OATH account that asks for a touch", Needs: "4.2.6 or newer", Have: v}
	case a.Hash == oath.SHA512 && (!v.AtLeast(4, 3, 1) || v.Major == 4 && v.Minor == 4): // 4.4: FIPS
		return &ykslot.UnsupportedError{What: "an OATH account with SHA-512", Needs: "4.3.1 or newer, but not 4.4", Have: v}
	}
	return nil
}

// inTheWay is nil, or an *ExistsError: the account of a list that is overwritten when an ID is put. Firmware 4.0.1 to 4.3.4
// takes an account for the one to overwrite if its ID begins with the new one. Source: reference yubikey-otp.md §6.3.
func inTheWay(v ykslot.Version, list []Account, id string, replace bool) error {
	prefixed := v.AtLeast(4, 0, 1) && !v.AtLeast(4, 3, 5)
	for _, a := range list {
		switch other := a.ID(); {
		case other == id && !replace:
			return &ExistsError{ID: other}
		case other != id && prefixed && strings.HasPrefix(other, id):
			return &ExistsError{ID: other, Prefix: true}
		}
	}
	return nil
}

func (s *Session) put(ctx context.Context, a Account, seed secret.Bytes, moving int64, replace bool) error {
	if err := s.Check(ctx, a, seed, moving, replace); err != nil {
		return fmt.Errorf("put an OATH account: %w", err)
	}
	means := meanings{apdu.NoSpace: ErrFull}
	if s.neo() {
		means[statusUnknown] = ErrFull
	}
	if err := s.change(ctx, apdu.Command{Instruction: insPut, Data: appendPut(nil, a, seed, moving)}, means); err != nil {
		return fmt.Errorf("put an OATH account: %w", err)
	}
	return nil
}

// neo reports whether it is the applet of a NEO. Source: reference yubikey-otp.md §6.3.
func (s *Session) neo() bool { return s.info.Version.Major < 3 }

// maxPut is room for the data of any PUT, so that no part of the seed is left behind by growing.
const maxPut = 256

// appendPut appends the data of PUT: 71 ID, 73 type and hash ‖ digits ‖ key, 78 02 for a touch, 7A moving factor unless it is 0.
func appendPut(b []byte, a Account, seed secret.Bytes, moving int64) []byte {
	value := make([]byte, 0, maxPut)
	value = append(value, typeOf(a.Kind)|hashes[a.Hash].code, byte(a.Digits))
	value = appendSeed(value, seed.Reveal(), a.Hash)
	defer clear(value)
	if b == nil {
		b = make([]byte, 0, maxPut)
	}
	b = apdu.AppendTLV(b, tagName, []byte(a.ID()))
	b = apdu.AppendTLV(b, tagKey, value)
	if a.Touch {
		b = append(b, tagProperty, propertyTouch)
	}
	if moving > 0 {
		b = apdu.AppendTLV(b, tagMoving, binary.BigEndian.AppendUint32(nil, uint32(moving)))
	}
	return b
}

func typeOf(k token.Kind) byte {
	if k == token.HOTP {
		return typeHOTP
	}
	return typeTOTP
}
