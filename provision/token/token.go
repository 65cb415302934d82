// Package token holds the nouns that every other package shares: the token a person holds, the credentials on it, the
// person, the states a token and a credential go through, and the ledger entry that makes a write survivable.
//
// It is pure: no clock, no randomness, no storage. A Token is the thing in somebody's pocket; a Credential is one secret on
// it. A person loses a token, so blocking acts on the token and reaches every credential on it.
package token

import (
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// ID names a Token, CredentialID a Credential, PersonID a Person in one store. 0 names nothing.
type (
	ID           int64
	CredentialID int64
	PersonID     int64
)

// Serial is a YubiKey's serial number; 0 when the key does not tell it or has none.
type Serial uint32

// String is the decimal number, or "" for 0.
func (s Serial) String() string {
	if s == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(s), 10)
}

// Model says what kind of thing a token is.
type Model string

// The models of tokens.
const (
	YubiKey  Model = "yubikey"
	Hardware Model = "hardware" // a display token or another device whose secret came in a key file
	App      Model = "app"      // an authenticator app on a phone
	Sheet    Model = "sheet"    // a sheet of recovery codes
)

// Kind says what kind of secret a credential is.
type Kind string

// The kinds of credentials. The store's schema knows all of them.
const (
	YubicoOTP         Kind = "yubico-otp"
	HOTP              Kind = "hotp"
	TOTP              Kind = "totp"
	ChallengeResponse Kind = "challenge-response"
	Static            Kind = "static"
	PIV               Kind = "piv"
)

// Valid reports whether k is one of the kinds above.
func (k Kind) Valid() bool {
	switch k {
	case YubicoOTP, HOTP, TOTP, ChallengeResponse, Static, PIV:
		return true
	}
	return false
}

// Validates reports whether one-time passwords of that kind are checked: a static password is always the same, and a challenge is for who has
// the key at hand.
func (k Kind) Validates() bool { return k == YubicoOTP || k == HOTP || k == TOTP }

// Slot is a touch slot of a YubiKey, 1 (short press) or 2 (long press); 0 where there is no slot.
type Slot int

// Person is somebody who holds tokens. Account is the key.
type Person struct {
	ID      PersonID
	Account string
	Name    string
	Mail    string
	Groups  []string // by name, sorted; what clients are allowed to ask about goes by them
	Created time.Time
}

// Token is the thing a person holds.
type Token struct {
	ID          ID
	Model       Model
	Serial      Serial // a YubiKey's own number
	Label       string // the serial of other hardware, or a key file's name for it
	StockNumber string
	Firmware    string // "5.4.3"
	State       State
	Holder      *Person // nil: nobody
	Reason      Reason  // why it was blocked; "" when it is not
	BlockedAt   time.Time
	BlockedFrom State     // its state before; "" when it is not blocked
	BlockedBy   string    // the actor who did it
	Until       time.Time // a suspension ends by itself then; zero: it does not
	Name        string    // as its holder calls it: "my phone"
	IssuedAt    time.Time // to its present holder; zero: unknown or nobody
	Owed        time.Time // when it was replaced, while it did not come back; zero: it is not waited for
	Created     time.Time
}

// Credential is one secret on a token. Its secrets are in Secrets, which is empty unless it was asked for.
type Credential struct {
	ID       CredentialID
	Token    ID
	Kind     Kind
	Slot     Slot
	PublicID PublicID
	State    State
	Settings Settings
	Counters Counters
	Enabled  bool // the guarded row's flag: what the server goes by
	Caution  int  // above 0 after a backup was put back: its counters are not trusted, and nothing is accepted
	Created  time.Time
	ProvenAt time.Time // zero: not proven yet
	Secrets  Secrets
}

// Settings are the parameters of a credential that are no secret. Zero fields do not apply to its kind.
type Settings struct {
	Digits        int           // HOTP and TOTP: 6..8
	Period        time.Duration // TOTP
	Hash          string        // HOTP, TOTP: "sha1", "sha256", "sha512"
	Issuer        string        // HOTP, TOTP: who asks for the codes, as an app shows it
	ExtFlags      uint8         // YubiKey slot: reference yubikey-otp.md §3.2
	TicketFlags   uint8
	ConfigFlags   uint8
	HasAccessCode bool  // the slot is guarded by an access code that is escrowed in Secrets
	FirstMoving   int64 // HOTP: the moving factor that it was written with; in a slot 0..1048560, otherwise of 32 bits
	// Account is what the credential is called in the key's OATH application, "[period/][issuer:]name", 1 to 64 bytes of UTF-8
	// (reference yubikey-otp.md §6.3); "": it is not there.
	Account string
	Touch   bool // with Account: it answers only when touched
	// Shared: with Account, somebody beside the store and the key may know the secret. It was brought from outside, or exported.
	Shared bool
}

// Counters are the values that only rise. For a Yubico OTP the order is (Use, Session); for HOTP and TOTP it is Moving.
type Counters struct {
	Use       int   // UseCounter, 15 bits; -1: none seen
	Session   int   // SessionCounter, 8 bits; -1: none seen
	Timestamp int   // 24 bits, about 8 Hz
	Moving    int64 // MovingFactor of the last accepted code; -1: none seen
	Nonce     string
	At        time.Time // when they were stored
	Clock     Clock     // TOTP
}

// Clock is what was learned about the clock of a TOTP token.
type Clock struct {
	Drift int64         // whole steps that it is ahead; negative: behind
	Rate  time.Duration // what it gains in a day, in whole milliseconds
	At    time.Time     // when Drift was learned; zero: nothing was
}

// Fresh are the counters of a credential of which no OTP was seen, so that (0, 0) is accepted.
func Fresh() Counters { return Counters{Use: -1, Session: -1, Moving: -1} }

// Secrets are the secret parts of a credential. The holder calls Destroy.
type Secrets struct {
	Key        secret.Bytes // AES-128 key (16 bytes), HOTP/TOTP seed, …
	PrivateID  secret.Bytes // Yubico OTP: 6 bytes
	AccessCode secret.Bytes // 6 bytes; empty: none
}

// Destroy clears all of them.
func (s Secrets) Destroy() {
	s.Key.Destroy()
	s.PrivateID.Destroy()
	s.AccessCode.Destroy()
}
