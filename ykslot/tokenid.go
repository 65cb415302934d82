package ykslot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// TokenID is what an HOTP slot types before each code, as OpenAuthentication's class of "OMP TT MUI": manufacturer, token
// type, and a number. The first ModHex bytes are typed as two ModHex letters each, the rest as two decimal digits. The zero
// value types nothing. Source: reference yubikey-otp.md §3.2, §3.8.
type TokenID struct {
	Bytes  []byte // 0 to 16
	ModHex int    // 0, 1, 2 or all of them
}

// Parts of a token identifier in characters, and what Yubico's keys have. Source: reference yubikey-otp.md §3.8.
const (
	ompLen, ttLen, muiLen = 2, 2, 8
	yubicoOMPTT           = "ubhe"
)

// ParseTokenID reads an identifier as the vendor's tool does: 12 characters are OMP, TT and MUI; 4 are OMP and TT, and the MUI
// is the serial number; 8 are the MUI after "ubhe"; "-" is "ubhe" and the serial number. Each part is ModHex or decimal;
// parts in ModHex come first. "" is no identifier. A serial number of 0 stands for none. The error is an *InvalidError.
func ParseTokenID(text string, serial uint32) (TokenID, error) {
	if text == "" {
		return TokenID{}, nil
	}
	if text == "-" {
		text = yubicoOMPTT
	}
	switch len(text) {
	case ompLen + ttLen:
		number := fmt.Sprintf("%0*d", muiLen, serial)
		if serial == 0 || len(number) != muiLen {
			return TokenID{}, &InvalidError{fmt.Sprintf("the serial number does not give the %d digits of a token identifier", muiLen)}
		}
		text += number
	case muiLen:
		text = yubicoOMPTT + text
	}
	if len(text) != ompLen+ttLen+muiLen {
		return TokenID{}, &InvalidError{`a token identifier has 12 characters, or 4 or 8 of them, or is "-"`}
	}
	var id TokenID
	at, digits := 0, false
	for _, n := range []int{ompLen, ttLen, muiLen} {
		part := text[at : at+n]
		at += n
		if b, ok := decimalBytes(part); ok {
			id.Bytes, digits = append(id.Bytes, b...), true
			continue
		}
		b, err := modhex.DecodeString(part)
		switch {
		case err != nil:
			return TokenID{}, &InvalidError{fmt.Sprintf("characters %d to %d of the token identifier are neither ModHex nor decimal", at-n+1, at)}
		case digits:
			return TokenID{}, &InvalidError{"in a token identifier the parts in ModHex come before those in digits"}
		}
		id.Bytes = append(id.Bytes, b...)
		id.ModHex = len(id.Bytes)
	}
	return id, nil
}

// decimalBytes packs two decimal digits into each byte.
func decimalBytes(text string) ([]byte, bool) {
	if strings.Trim(text, "0123456789") != "" || len(text)%2 != 0 {
		return nil, false
	}
	var b []byte
	for i := 0; i < len(text); i += 2 {
		b = append(b, (text[i]-'0')<<4|(text[i+1]-'0'))
	}
	return b, true
}

// Check says whether a slot can type the identifier; the error is an *InvalidError.
func (id TokenID) Check() error {
	_, err := id.flags()
	return err
}

// flags chooses among the fixed-ModHex flags.
func (id TokenID) flags() (ConfigFlag, error) {
	n := len(id.Bytes)
	if n > FixedLen || id.ModHex < 0 || id.ModHex > n {
		return 0, &InvalidError{fmt.Sprintf("a token identifier of %d bytes, %d of them in ModHex; at most %d fit", n, id.ModHex, FixedLen)}
	}
	for i, b := range id.Bytes[id.ModHex:] {
		if b>>4 > 9 || b&0x0F > 9 {
			return 0, &InvalidError{fmt.Sprintf("byte %d of the token identifier is not two decimal digits", id.ModHex+i+1)}
		}
	}
	switch id.ModHex {
	case 0:
		return 0, nil
	case 1:
		return FixedModHex1, nil
	case 2:
		return FixedModHex2, nil
	case n:
		return FixedModHex1 | FixedModHex2, nil
	}
	return 0, &InvalidError{"of a token identifier the first byte, the first two or all are in ModHex"}
}

// String is what the key types.
func (id TokenID) String() string {
	text := modhex.EncodeToString(id.Bytes[:id.ModHex])
	for _, b := range id.Bytes[id.ModHex:] {
		text += fmt.Sprintf("%02x", b)
	}
	return text
}

// TokenID is what an HOTP configuration types before its codes; zero for other modes.
func (c Config) TokenID() TokenID {
	if c.Mode() != ModeHOTP {
		return TokenID{}
	}
	n := len(c.Fixed)
	switch c.Flags.Config & (FixedModHex1 | FixedModHex2) {
	case 0:
		n = 0
	case FixedModHex1:
		n = min(n, 1)
	case FixedModHex2:
		n = min(n, 2)
	}
	return TokenID{slices.Clone(c.Fixed), n}
}
