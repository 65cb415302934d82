package provision

import "github.com/tokendesk/tokendesk/ykslot"

// Options are what a slot of one kind takes beside the rest of Spec: no secrets, so a profile can carry and print them. The
// zero value is the default of every kind, and BuildPlan refuses what does not go with the kind or the key's firmware.
type Options struct {
	// Set are flags beside the baseline of the kind, Clear those of the baseline that are left out. The baseline is
	// ykslot.TypingFlags, for challenge-response without what only typing needs.
	Set, Clear ykslot.Flags

	Digits       int    // HOTP: 6 or 8; 0 is 6
	MovingFactor int64  // HOTP: the first one: a multiple of 16, at most 1048560. Source: reference yubikey-otp.md §3.8
	TokenID      string // HOTP: the OATH token identifier that is typed first: see ParseTokenID; "" none

	Challenge   ChallengeMode // challenge-response
	FixedLength bool          // HMAC: messages are exactly 64 bytes
	Touch       bool          // challenge-response: answers only when touched

	Password PasswordMode // static
	Layout   string       // static, scan codes: the keyboard layout of the computers it is typed on; "" is modhex
	Length   int          // static: characters of a password that is drawn; 0 is 38 for scan codes, 32 for a ticket
}

// ChallengeMode is what a challenge-response slot computes.
type ChallengeMode string

// The challenge modes; "" is HMACChallenge.
const (
	HMACChallenge   ChallengeMode = "hmac"   // HMAC-SHA1 of up to 64 bytes
	YubicoChallenge ChallengeMode = "yubico" // a Yubico OTP block around 6 bytes
)

// PasswordMode is what a static slot types.
type PasswordMode string

// The password modes; "" is ScanCodes.
const (
	ScanCodes PasswordMode = "scan-codes" // key strokes of a layout, up to 38
	Ticket    PasswordMode = "ticket"     // the ModHex of an encrypted constant block, which the store computes
)
