package push

import (
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Serial is what a token is called there: the same as in the files for privacyIDEA and LinOTP. It is empty for a record that
// has no name that they take.
func Serial(rec keyfile.Record) string { return tokenname.Serial(rec) }

// Kept is what a Registry keeps of rec at least, under its serial; the owner only with a realm.
func Kept(rec keyfile.Record, realm string) keyfile.Record {
	out := keyfile.Record{Kind: rec.Kind, Key: rec.Key, Digits: rec.Digits, Period: rec.Period, Hash: rec.Hash, Counter: rec.Counter}
	tokenname.SetSerial(&out, Serial(rec))
	if realm != "" {
		out.Owner = rec.Owner
	}
	return out
}

// blockLen is the number of ModHex characters of an OTP after its public ID. Source: reference yubikey-otp.md §1.
const blockLen = 32

// Parameters say what kind of token rec is, in the words that privacyIDEA and LinOTP share; hotp is what they do not.
func Parameters(rec keyfile.Record, hotp string) []Field {
	digits, hash := Field{"otplen", strconv.Itoa(rec.Digits)}, Field{"hashlib", rec.Hash}
	switch rec.Kind {
	case token.YubicoOTP:
		return []Field{{"type", "yubikey"}, {"otplen", strconv.Itoa(blockLen + len(rec.PublicID.String()))}}
	case token.TOTP:
		return []Field{{"type", "totp"}, digits, hash, {"timeStep", strconv.Itoa(int(rec.Period / time.Second))}}
	}
	return []Field{{"type", hotp}, digits, hash}
}
