package ykslot

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Source: reference yubikey-otp.md §3.7.
const (
	ScanMapLen  = 45   // strokes in a scan map
	strokeShift = 0x80 // in a stroke: with Shift
)

// scanMapChars are the characters that a scan map gives strokes for, in its order. Source: reference yubikey-otp.md §3.7.
const scanMapChars = "cbdefghijklnrtuvCBDEFGHIJKLNRTUV0123456789!\t\r"

// ScanMap says which keys type the ModHex letters, the same in upper case, the digits, "!", Tab and Enter: usages, Shift as bit
// 80. It acts on OTPs, HOTP codes and encrypted passwords, not on scan-code passwords. The zero value restores the default.
type ScanMap [ScanMapLen]byte

// DefaultScanMap is the one of a new key. Source: reference yubikey-otp.md §3.7.
func DefaultScanMap() ScanMap {
	return ScanMap{
		0x06, 0x05, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x11, 0x15, 0x17, 0x18, 0x19,
		0x86, 0x85, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x91, 0x95, 0x97, 0x98, 0x99,
		0x27, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26,
		0x9e, 0x2b, 0x28,
	}
}

// ParseScanMap reads 90 hexadecimal digits and checks the map; the error is an *InvalidError.
func ParseScanMap(text string) (ScanMap, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != ScanMapLen {
		return ScanMap{}, &InvalidError{fmt.Sprintf("a scan map is %d hexadecimal digits", 2*ScanMapLen)}
	}
	m := ScanMap(b)
	return m, m.Check()
}

// Check says whether every character has a stroke of its own; the error is an *InvalidError. All zeros are the default.
func (m ScanMap) Check() error {
	if m == (ScanMap{}) {
		return nil
	}
	seen := map[byte]int{}
	for i, s := range m {
		if s&^strokeShift < usageErrors {
			return &InvalidError{fmt.Sprintf("the scan map has no key for %q", scanMapChars[i])}
		}
		if j, twice := seen[s]; twice {
			return &InvalidError{fmt.Sprintf("the scan map has the same stroke for %q and %q", scanMapChars[j], scanMapChars[i])}
		}
		seen[s] = i
	}
	return nil
}

// usual is the stroke that types on a new key what a stroke types by this map; other strokes, such as of a scan-code password, stay.
func (m ScanMap) usual(stroke byte) byte {
	if i := bytes.IndexByte(m[:], stroke); i >= 0 && m != (ScanMap{}) {
		return DefaultScanMap()[i]
	}
	return stroke
}

// Input reads presses of a key with this map as a host does whose layout the map was made for, so that ReadPress gives ModHex, digits,
// tabs and Enter.
func (m ScanMap) Input(in InputReader) InputReader {
	if m == (ScanMap{}) || m == DefaultScanMap() {
		return in
	}
	return mappedInput{in, m}
}

type mappedInput struct {
	InputReader
	m ScanMap
}

// ReadInput implements InputReader. A key types one stroke a report.
func (i mappedInput) ReadInput(ctx context.Context) (Report, error) {
	r, err := i.InputReader.ReadInput(ctx)
	if err != nil || r[offUsages] < usageErrors {
		return r, err
	}
	stroke := r[offUsages]
	if r[0]&modShift != 0 {
		stroke |= strokeShift
	}
	stroke = i.m.usual(stroke)
	r[0] &^= modShift
	if stroke&strokeShift != 0 {
		r[0] |= modLeftShift
	}
	r[offUsages] = stroke &^ strokeShift
	return r, nil
}

// String is the map in hexadecimal.
func (m ScanMap) String() string { return hex.EncodeToString(m[:]) }

// WriteScanMap sets the scan map of the key, or restores the default one. current is the access code that guards the key's slots,
// if any. Errors are as in Write. Source: reference yubikey-otp.md §2, §3.7.
func (s *Session) WriteScanMap(ctx context.Context, m ScanMap, current secret.Bytes) error {
	err := FeatureScanMap.Supported(s.version())
	if err == nil {
		err = m.Check()
	}
	if st := s.Status(); err == nil && st.ProgSeq == 0 && st.Touch&touchAnySlot == 0 {
		err = &InvalidError{"while both slots are empty, the key does not show whether it took a scan map: program a slot first"}
	}
	if err != nil {
		return opError(opScanMap, 0, err)
	}
	return s.run(ctx, opScanMap, 0, CommandScanMap, m[:], current)
}
