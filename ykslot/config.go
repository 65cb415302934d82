package ykslot

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Lengths in bytes. Source: reference yubikey-otp.md §3.1.
const (
	ConfigLen     = 52
	FixedLen      = 16
	UIDLen        = 6
	KeyLen        = 16
	AccessCodeLen = 6
)

// Offsets in the 52 bytes. Source: reference yubikey-otp.md §3.1.
const (
	offUID        = 16
	offKey        = 22
	offAccessCode = 38
	offFixedSize  = 44
	offExt        = 45
	offTicket     = 46
	offConfig     = 47
	offReserved   = 48
	offCRC        = 50
)

// Config is what a slot is programmed with, in any mode. UID and Key are named after their place in the struct: each
// mode puts other material there (reference yubikey-otp.md §3.3). The secrets belong to the caller, who destroys them.
type Config struct {
	Fixed      []byte       // 0 to 16 bytes: public ID, token ID, scan codes
	UID        secret.Bytes // 6 bytes or empty for zeros
	Key        secret.Bytes // 16 bytes or empty for zeros
	AccessCode secret.Bytes // the new one: 6 bytes, or empty for none
	Flags
}

// Format prints the flags and nothing else: of a scan-code password the fixed part is secret too.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.Flags.String()) }

// Destroy clears the secrets, the fixed part of a scan-code password included. A builder's configuration shares some of them with
// the builder; see there.
func (c Config) Destroy() {
	if c.Mode() == ModeScanCodes {
		clear(c.Fixed)
	}
	c.UID.Destroy()
	c.Key.Destroy()
	c.AccessCode.Destroy()
}

// AppendMarshal appends the 52 bytes with their CRC. It is pure and checks lengths only: see Validate and Supported.
// The result holds the secrets in clear; the caller clears it.
func (c Config) AppendMarshal(dst []byte) ([]byte, error) {
	var b [ConfigLen]byte
	defer clear(b[:])
	if len(c.Fixed) > FixedLen {
		return dst, &InvalidError{fmt.Sprintf("the fixed part has %d bytes, at most %d fit", len(c.Fixed), FixedLen)}
	}
	copy(b[:], c.Fixed)
	for _, f := range []struct {
		name string
		from secret.Bytes
		off  int
		size int
	}{{"private ID", c.UID, offUID, UIDLen}, {"key", c.Key, offKey, KeyLen}, {"access code", c.AccessCode, offAccessCode, AccessCodeLen}} {
		if n := f.from.Len(); n != 0 && n != f.size {
			return dst, &InvalidError{fmt.Sprintf("the %s has %d bytes, want %d", f.name, n, f.size)}
		}
		copy(b[f.off:], f.from.Reveal())
	}
	b[offFixedSize] = byte(len(c.Fixed))
	b[offExt], b[offTicket], b[offConfig] = byte(c.Ext), byte(c.Ticket), byte(c.Flags.Config)
	binary.LittleEndian.PutUint16(b[offCRC:], ^yubiotp.CRC16(b[:offCRC]))
	return append(dst, b[:]...), nil
}

// UnmarshalConfig reads the 52 bytes; AppendMarshal gives the same bytes again. Errors wrap ErrProtocol: a wrong length or
// CRC, a fixed size over 16, or bytes set where there must be zeros. The caller destroys the secrets of the result.
func UnmarshalConfig(b []byte) (Config, error) {
	if len(b) != ConfigLen {
		return Config{}, fmt.Errorf("%w: configuration of %d bytes, want %d", ErrProtocol, len(b), ConfigLen)
	}
	if yubiotp.CRC16(b) != yubiotp.CRCResidual {
		return Config{}, fmt.Errorf("%w: configuration with a wrong CRC", ErrProtocol)
	}
	n := int(b[offFixedSize])
	if n > FixedLen {
		return Config{}, fmt.Errorf("%w: fixed part of %d bytes", ErrProtocol, n)
	}
	for _, zero := range [][]byte{b[n:FixedLen], b[offReserved:offCRC]} {
		for _, x := range zero {
			if x != 0 {
				return Config{}, fmt.Errorf("%w: configuration with data in unused bytes", ErrProtocol)
			}
		}
	}
	return Config{
		Fixed:      append([]byte(nil), b[:n]...),
		UID:        secret.Copy(b[offUID:offKey]),
		Key:        secret.Copy(b[offKey:offAccessCode]),
		AccessCode: secret.Copy(b[offAccessCode:offFixedSize]),
		Flags:      Flags{ExtFlag(b[offExt]), TicketFlag(b[offTicket]), ConfigFlag(b[offConfig])},
	}, nil
}

// InvalidError: a configuration that no key takes or that would not do what it says.
type InvalidError struct{ Rule string }

func (e *InvalidError) Error() string { return "configuration: " + e.Rule }

// errDormant is the mistake that no update can undo. Source: reference yubikey-otp.md §3.5.
var errDormant = &InvalidError{"DORMANT without ALLOW_UPDATE could never be woken"}

// Validate checks the rules that hold for every firmware: no flag without meaning in the mode, and nothing that makes the
// slot useless. The error is an *InvalidError. Source: reference yubikey-otp.md §3.3.
func (c Config) Validate() error {
	m := c.Mode()
	for _, of := range []field{fieldExt, fieldTicket, fieldConfig} {
		left := c.byte(of)
		var names []string // of the first stray bit, in all modes
		for _, row := range flagTable {
			if row.field == of && row.modes.has(m) {
				left &^= row.bit
			}
		}
		left &= -left
		for _, row := range flagTable {
			if row.field == of && row.bit == left {
				names = append(names, row.name)
			}
		}
		if left != 0 {
			return &InvalidError{fmt.Sprintf("%s does not go with %v", strings.Join(names, " or "), m)}
		}
	}
	switch {
	case c.Ext&Dormant != 0 && c.Ext&AllowUpdate == 0:
		return errDormant
	case m == ModeScanCodes && len(c.Fixed) != FixedLen:
		return &InvalidError{fmt.Sprintf("a scan-code password needs a fixed part of %d bytes", FixedLen)}
	case m != ModeScanCodes && (c.UID.Len() != UIDLen || c.Key.Len() != KeyLen):
		return &InvalidError{fmt.Sprintf("%v needs a key of %d bytes and %d more", m, KeyLen, UIDLen)}
	}
	return nil
}

// Supported is nil, or an *UnsupportedError for the first flag or mode that firmware v does not have or ignores.
func (c Config) Supported(v Version) error {
	m := c.Mode()
	for _, row := range flagTable {
		if c.byte(row.field)&row.bit != 0 && row.modes.has(m) && !row.in.has(v) {
			return &UnsupportedError{What: row.name, Needs: row.in.String(), Have: v}
		}
	}
	if uid := c.UID.Reveal(); m == ModeHOTP && len(uid) == UIDLen && uid[4]|uid[5] != 0 {
		return FeatureHOTPMovingFactor.Supported(v)
	}
	return nil
}

// YubicoOTP programs a slot to type Yubico OTPs of 32 + 2·len(PublicID) characters. Flags start from TypingFlags.
type YubicoOTP struct {
	PublicID   []byte       // 0 to 16 bytes; servers want 6
	PrivateID  secret.Bytes // 6 bytes
	Key        secret.Bytes // 16 bytes
	AccessCode secret.Bytes // to set: 6 bytes, or empty for none
	Flags
}

// Config checks the parts and returns the slot's configuration; the error is an *InvalidError. The secrets are shared.
func (y YubicoOTP) Config() (Config, error) {
	c := Config{Fixed: y.PublicID, UID: y.PrivateID, Key: y.Key, AccessCode: y.AccessCode, Flags: y.Flags}
	switch {
	case c.Mode() != ModeYubicoOTP:
		return Config{}, &InvalidError{fmt.Sprintf("these are flags of %v, not of %v", c.Mode(), ModeYubicoOTP)}
	case len(y.PublicID) > FixedLen:
		return Config{}, &InvalidError{fmt.Sprintf("a public ID of %d bytes, at most %d fit", len(y.PublicID), FixedLen)}
	case y.Key.IsZero():
		return Config{}, &InvalidError{"the key is all zero"}
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}
