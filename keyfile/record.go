// Package keyfile moves secrets between servers. One neutral Record stands for one credential; a Codec per file format turns
// records into a file and back. What a format cannot carry is said before anything is written, never dropped in silence.
//
// Writing: ask Loss, Encode each record, Close, then Check the finished file against the same records. Reading: Import.
// The formats are sub-packages (yubicocsv, oathcsv, ksm, pskc, …); package keyfile/codecs is the list of them.
//
// Files are read in constant memory and never trusted: lines and packages have a greatest size, an error names line, column
// and field and never holds what stood there. The buffers are cleared after reading, but copies that the runtime or an XML
// parser made may remain in memory.
package keyfile

import (
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Record is one credential on its way in or out. Fields that a format does not carry are zero after Decode.
type Record struct {
	Line       int // of the file it was read from, 1 for the first; 0 otherwise
	Kind       token.Kind
	Serial     token.Serial // a YubiKey's own number; 0: unknown
	Label      string       // the serial of other hardware, or the name that the file gives the token
	Slot       token.Slot   // 0: unknown
	PublicID   token.PublicID
	PrivateID  secret.Bytes // 6 bytes; empty: unknown
	Key        secret.Bytes // AES-128 key or HOTP/TOTP seed
	AccessCode secret.Bytes // read on import; never written to a server's file

	Digits  int           // HOTP, TOTP: 6..8
	Period  time.Duration // TOTP
	Hash    string        // HOTP, TOTP: "sha1", "sha256", "sha512"
	Counter int64         // HOTP: the next moving factor

	Issuer  string    // who asks for the codes, as an app shows it
	Account string    // its own name in an app or on a key, beside the issuer; "": it has none. Only written: what apps read is the Owner
	Owner   string    // account of the person who holds it
	Created time.Time // in whole seconds; zero: unknown. Formats without a time zone read and write it as UTC
}

// Code is rec with what its codes are computed of and nothing else: kind and key, for HOTP and TOTP also digits and hash, and
// the counter or the period. It shares rec's key.
func (r Record) Code() Record {
	out := Record{Kind: r.Kind, Key: r.Key}
	switch r.Kind {
	case token.HOTP:
		out.Digits, out.Hash, out.Counter = r.Digits, r.Hash, r.Counter
	case token.TOTP:
		out.Digits, out.Hash, out.Period = r.Digits, r.Hash, r.Period
	}
	return out
}

// otpBlock is the number of ModHex characters of a Yubico OTP behind the public ID. Source: reference yubikey-otp.md §1.
const otpBlock = 32

// OTPLength is the number of characters that a key types for a Yubico OTP: two a byte of the public ID, then the OTP.
func (r Record) OTPLength() int { return 2*r.PublicID.Len() + otpBlock }

// Destroy clears the record's secrets.
func (r Record) Destroy() {
	r.PrivateID.Destroy()
	r.Key.Destroy()
	r.AccessCode.Destroy()
}

// Name is what the operator calls the token: the serial, else the label, else the public ID, else "without a name".
func (r Record) Name() string {
	for _, s := range []string{r.Serial.String(), r.Label, r.PublicID.String()} {
		if s != "" {
			return s
		}
	}
	return "without a name"
}

// Differences lists the fields in which a and b differ, in the order of Record. Line is not compared, Created by the second.
func Differences(a, b Record) []string {
	var out []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"kind", a.Kind == b.Kind},
		{"serial", a.Serial == b.Serial},
		{"label", a.Label == b.Label},
		{"slot", a.Slot == b.Slot},
		{"public-id", a.PublicID == b.PublicID},
		{"private-id", a.PrivateID.Equal(b.PrivateID)},
		{"key", a.Key.Equal(b.Key)},
		{"access-code", a.AccessCode.Equal(b.AccessCode)},
		{"digits", a.Digits == b.Digits},
		{"period", a.Period == b.Period},
		{"hash", a.Hash == b.Hash},
		{"counter", a.Counter == b.Counter},
		{"issuer", a.Issuer == b.Issuer},
		{"account", a.Account == b.Account},
		{"owner", a.Owner == b.Owner},
		{"created", a.Created.Truncate(time.Second).Equal(b.Created.Truncate(time.Second))},
	} {
		if !f.same {
			out = append(out, f.name)
		}
	}
	return out
}
