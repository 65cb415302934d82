package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Proof is what came of the codes that were typed to prove that a token is at hand. Its text is for staff. Anything but Proven
// leaves the token as it was.
type Proof string

// The outcomes.
const (
	Proven     Proof = "proven"
	NoCode     Proof = "not a one-time password or code"
	WrongCode  Proof = "the code is wrong"
	OtherToken Proof = "the code is not of this token"
	NeedSecond Proof = "the token is out of step: type the next code too"
	NotNewer   Proof = "the code is not newer than what was seen"
	NotIssued  Proof = "this credential was never put to use"
)

// LockedError says that too many wrong codes were typed for a person or a token.
type LockedError struct{ Until time.Time }

func (e *LockedError) Error() string {
	return "too many wrong codes: the next one is looked at from " + e.Until.UTC().Format(time.RFC3339)
}

// purpose is what a proof is for.
type purpose struct {
	pair    bool // two codes, and no Yubico OTP
	pending bool // a credential that waits for its first proof counts
	measure bool // the clock of a TOTP token is taken as one code shows it

	since time.Time // a TOTP code of before, by the clock that is believed, proves nothing: set while the token is blocked
}

// The purposes.
var (
	issuing    = purpose{measure: true}
	confirming = purpose{pending: true, measure: true}
	resyncing  = purpose{pair: true}
	returning  = purpose{}
	restoring  = purpose{}
)

// prove says whether the codes are t's. Whether they are newer than what another process stored meanwhile is for the store to
// decide. HOTP and TOTP codes are throttled: *LockedError.
func (d *Desk) prove(ctx context.Context, t token.Token, codes []string, p purpose) (Evidence, Proof, error) {
	if len(codes) == 0 {
		return Evidence{}, NoCode, nil
	}
	if !p.pair && len(validate.Readings(codes[0])) > 0 {
		return d.proveOTP(ctx, t, codes[0])
	}
	digits := make([]string, len(codes))
	for i, text := range codes {
		var ok bool
		if digits[i], ok = codeDigits(text); !ok {
			return Evidence{}, NoCode, nil
		}
	}
	digits = digits[:min(len(digits), 2)]
	if t.State.Blocked() {
		p.since = t.BlockedAt
	}
	return d.proveCodes(ctx, t, digits, p)
}

// codeDigits takes the blanks out of a code as it was typed, and what a YubiKey types before it to name itself: whose code it is, is known
// here. ok is false unless 6 to 8 digits are left.
func codeDigits(typed string) (code string, ok bool) {
	code = strings.Join(strings.Fields(typed), "")
	if _, behind, named := validate.CutPrefix(code); named {
		code = behind
	}
	if !oath.IsCode(code) {
		return "", false
	}
	return code, true
}

// proveOTP opens a Yubico OTP. The first reading that opens counts; if none does, WrongCode says that the public ID at least is one
// of t's.
func (d *Desk) proveOTP(ctx context.Context, t token.Token, otp string) (Evidence, Proof, error) {
	best := NoCode
	for _, r := range validate.Readings(otp) {
		e, proof, err := d.proveReading(ctx, t, r)
		if err != nil || proof == Proven || proof == NotIssued {
			return e, proof, err
		}
		if best != WrongCode {
			best = proof
		}
	}
	return Evidence{}, best, nil
}

func (d *Desk) proveReading(ctx context.Context, t token.Token, r validate.Reading) (Evidence, Proof, error) {
	c, err := d.Store.Find(ctx, r.PublicID)
	if errors.Is(err, token.ErrNotFound) || err == nil && c.Token != t.ID {
		return Evidence{}, OtherToken, nil
	}
	if err != nil {
		return Evidence{}, "", err
	}
	p, verdict := c.Cipher.Open(r.Block)
	switch {
	case verdict != yubiotp.OK:
		return Evidence{}, WrongCode, nil
	case !c.Row.State.Validates():
		return Evidence{}, NotIssued, nil
	}
	n := token.Counters{Use: int(p.UseCounter), Session: int(p.SessionCounter), Timestamp: int(p.Timestamp), Moving: -1, At: d.Now()}
	return Evidence{c.ID, n, r.PublicID}, Proven, nil
}

// proveCodes counts the try before it looks at the codes, so that of many at once none is free.
func (d *Desk) proveCodes(ctx context.Context, t token.Token, codes []string, p purpose) (Evidence, Proof, error) {
	now := d.Now()
	list, err := d.Store.OATH(ctx, t.ID)
	defer destroyAll(list)
	if err != nil {
		return Evidence{}, "", fmt.Errorf("read the seeds of %s: %w", Name(t), err)
	}
	before, err := d.Store.CountProof(ctx, t.ID, now)
	if err != nil {
		return Evidence{}, "", err
	}
	if ok, until := before.Permits(now); !ok {
		return Evidence{}, "", &LockedError{until}
	}
	e, proof, err := matchAny(t, list, codes, p, now)
	if err == nil && (proof == NeedSecond || proof == NotIssued) { // no guess
		err = d.Store.UncountProof(ctx, t.ID, before)
	}
	return e, proof, err
}

// matchAny tries every credential: the best outcome counts.
func matchAny(t token.Token, list []token.Credential, codes []string, p purpose, now time.Time) (Evidence, Proof, error) {
	ranks := map[Proof]int{OtherToken: 0, WrongCode: 1, NotNewer: 2, NotIssued: 3, NeedSecond: 4, Proven: 5}
	best, e := OtherToken, Evidence{}
	for _, c := range list {
		one, err := newCandidate(t.Model, c, now)
		if err != nil {
			return e, "", err
		}
		n, proof := one.counters(codes, p)
		if ranks[proof] > ranks[best] {
			best, e = proof, Evidence{Credential: c.ID, Counters: n}
		}
	}
	return e, best, nil
}

func destroyAll(list []token.Credential) {
	for _, c := range list {
		c.Secrets.Destroy()
	}
}
