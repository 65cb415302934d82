// Package profile is the named, printable description of what is written into keys, so that a desk programs the same thing a
// thousand times.
//
//	# what the lecturers get
//	name        = staff-slot2
//	kind        = yubico-otp
//	slot        = 2
//	access-code = random
//	touch       = sample:13
//
// A profile is text that a person reads, prints and signs: one "key = value" a line, # begins a comment, unknown keys are errors
// with line and column. Parse fills in what is left out, String writes all that applies, in a fixed order: what Parse reads from
// String is the same profile, and the fingerprint of that text names it on paper.
//
// It holds rules, never secrets: keys, access codes and passwords are drawn when a key is written. It is pure; package provision
// turns it into a Spec (provision.FromProfile), the store keeps its versions.
package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Profile says what to write, how it is proven, and what comes out beside the key. The zero value is none: see New.
type Profile struct {
	Name        string // a–z, 0–9, -, _ and ., at most MaxName bytes
	Description string // one line for people; may be empty
	Language    string // of receipts: "de" or "en"; "": the site's

	Kind       token.Kind // yubico-otp, hotp, challenge-response or static
	Slot       token.Slot // 1 or 2
	PublicID   string     // "serial", "random" or "none": never one ID for many keys
	AccessCode string     // "random", "none" or "keep"
	Verify     token.ProofRequired
	Overwrite  string // "", "factory" or "foreign": what may be lost
	Reason     string // with Overwrite: why; goes into the audit chain
	Options
	Cards

	Touch       Touch    // which keys of a batch are proven by touch
	StockPrefix string   // stock numbers are this and a number; "": the keys get none
	Exports     []string // formats of the key files that a batch leaves, as keyfile/codecs names them
	Label       string   // name of the label's template; "": the built-in one
	Receipt     string   // name of the receipt's template; "": the built-in one
}

// Options are the settings of the slot, as provision.Options has them, by names that people read. Those that do not apply to the kind
// are zero.
type Options struct {
	Enter        bool   // kinds that type: Enter at the end
	FastTrigger  bool   // kinds that type: short touch at once when only slot 1 is in use
	Pacing       int    // kinds that type: milliseconds between characters: 0, 20, 40 or 60
	Updatable    bool   // the flags may be changed later without a new secret
	Digits       int    // hotp: 6 or 8
	MovingFactor int64  // hotp: where it starts, a multiple of 16 up to 1048560 (reference yubikey-otp.md §3.8)
	Challenge    string // challenge-response: "hmac" or "yubico"
	FixedLength  bool   // hmac: messages are exactly 64 bytes
	Button       bool   // challenge-response: each answer needs a touch
	Password     string // static: "scan-codes" or "ticket"
	Length       int    // static: characters of the password that is drawn
	Layout       string // static: the keyboard layout of the computers that it is typed on
}

// Touch says which keys of a batch are proven by touch: All, or Sample of them, or (zero) none.
type Touch struct {
	All    bool
	Sample int
}

// String is "all", "none" or "sample:13".
func (t Touch) String() string {
	switch {
	case t.All:
		return "all"
	case t.Sample > 0:
		return "sample:" + strconv.Itoa(t.Sample)
	}
	return "none"
}

// ParseTouch reads what String writes.
func ParseTouch(s string) (Touch, error) {
	switch n, sampled := strings.CutPrefix(s, "sample:"); {
	case s == "all":
		return Touch{All: true}, nil
	case s == "none":
		return Touch{}, nil
	case sampled:
		if i, err := number(n, maxSample); err == nil && i > 0 {
			return Touch{Sample: i}, nil
		}
	}
	return Touch{}, fmt.Errorf("all, none and sample:N with N from 1 to %d are possible", maxSample)
}

// Limits of texts, in bytes, and of a sample.
const (
	MaxName   = 40
	MaxText   = 200
	MaxStock  = 12
	MaxFile   = 64 << 10
	maxSample = 100_000
	maxList   = 8
)

// Typing kinds are those whose slot types on its own; only these can be proven by touch at the keyboard.
func Typing(k token.Kind) bool { return k == token.YubicoOTP || k == token.HOTP || k == token.Static }

// New is a profile of a kind with the defaults of the program: what Parse fills in for keys that a text leaves out.
func New(name string, k token.Kind) Profile {
	p := Profile{
		Name: name, Kind: k, Slot: 2, PublicID: "none", AccessCode: "random", Verify: token.NoProof,
		Options: Options{Updatable: true},
	}
	if Typing(k) {
		p.Enter, p.FastTrigger = true, true
	}
	switch k {
	case token.YubicoOTP:
		p.PublicID, p.Verify, p.Touch = "serial", token.ByTouch, Touch{All: true}
	case token.HOTP:
		p.Verify, p.Touch, p.Digits = token.ByTouch, Touch{All: true}, 6
	case token.Static:
		p.Password, p.Length, p.Layout = "scan-codes", 38, "modhex"
	case token.ChallengeResponse:
		p.Challenge = "hmac"
	}
	return p
}

// Fingerprint names the profile on paper: the first 8 bytes of the SHA-256 of String, in hexadecimal by fours.
func (p Profile) Fingerprint() string {
	sum := sha256.Sum256([]byte(p.String()))
	h := hex.EncodeToString(sum[:8])
	return h[:4] + " " + h[4:8] + " " + h[8:12] + " " + h[12:]
}
