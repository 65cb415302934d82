package oathapplet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// Code is a one-time password of an account.
type Code struct {
	Value string // 6 to 8 digits, or 5 characters of Steam's
	// From and Until are the time of a TOTP code, Until not included; zero for HOTP.
	From, Until time.Time
}

// Entry is an account with its code.
type Entry struct {
	Account      // complete, but Touch is not known of HOTP
	Code    Code // zero: an HOTP account, or one that asks for a touch; Calculate makes it
}

// Calculate makes the code of an account, of a TOTP account that of a time. It needs the account's Issuer, Name, Kind and
// Period alone. An HOTP code uses up a value of the key's counter: if its answer was not seen, or tells nothing, the error
// wraps ykslot.ErrUnsettled. An account that asks for a touch waits for it until the key gives up: ErrTouchTimeout. It wraps
// ErrNoAccount.
func (s *Session) Calculate(ctx context.Context, a Account, now time.Time) (Code, error) {
	code, err := s.calculate(ctx, a, now)
	if err != nil {
		return Code{}, fmt.Errorf("calculate an OATH code: %w", err)
	}
	return code, nil
}

func (s *Session) calculate(ctx context.Context, a Account, now time.Time) (Code, error) {
	var challenge []byte // none for HOTP
	var code Code
	switch a.Kind {
	case token.TOTP:
		if p := a.period(); p < time.Second || p%time.Second != 0 {
			return Code{}, &AccountError{"period", "it is whole seconds, 1 or more"}
		}
		challenge, code = stepOf(now, a.period())
	case token.HOTP:
	default:
		return Code{}, &AccountError{"kind", "it is totp or hotp"}
	}
	if err := ctx.Err(); err != nil {
		return Code{}, err
	}
	answer, err := s.respond(ctx, a.ID(), challenge, !a.Steam())
	if a.Kind == token.HOTP && !errors.Is(err, ErrLocked) {
		err = unsettled(err)
	}
	if err != nil {
		return Code{}, err
	}
	if a.Steam() {
		code.Value, err = steamCode(answer)
	} else {
		code.Value, err = decimal(answer)
	}
	if err != nil {
		return Code{}, err
	}
	return code, nil
}

// stepOf is the challenge of a time and the time of its code.
func stepOf(now time.Time, period time.Duration) ([]byte, Code) {
	step := oath.Step(now, period)
	seconds := int64(period / time.Second)
	return binary.BigEndian.AppendUint64(nil, uint64(step)), Code{From: time.Unix(step*seconds, 0), Until: time.Unix((step+1)*seconds, 0)}
}

// respond makes the key answer a challenge with the HMAC of an account: truncated, digits ‖ 4 bytes, or whole, digits ‖ HMAC.
func (s *Session) respond(ctx context.Context, id string, challenge []byte, short bool) ([]byte, error) {
	c := apdu.Command{Instruction: insCalculate}
	tag := uint32(tagFull)
	if short {
		c.P2, tag = truncated, tagTruncated
	}
	c.Data = apdu.AppendTLV(apdu.AppendTLV(nil, tagName, []byte(id)), tagChallenge, challenge)
	answer, err := s.ask(ctx, c, meanings{statusNoObject: ErrNoAccount, apdu.ConditionsNotSatisfied: ErrTouchTimeout})
	if err != nil {
		return nil, err
	}
	value, ok := apdu.Find(answer, tag)
	if !ok {
		return nil, fmt.Errorf("%w: no response", apdu.ErrProtocol)
	}
	return value, nil
}

// truncatedLen is digits and 31 bits, or as many as the digits need. Source: reference yubikey-otp.md §6.2.
const truncatedLen = 5

// decimal is the code of a truncated response. New keys have reduced it to the digits, a NEO has not.
func decimal(response []byte) (string, error) {
	if len(response) != truncatedLen || !hasDigits(response) {
		return "", fmt.Errorf("%w: a response of %d bytes, or digits that no code has", apdu.ErrProtocol, len(response))
	}
	digits := int(response[0])
	modulus := uint32(1)
	for range digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*d", digits, binary.BigEndian.Uint32(response[1:])&0x7FFFFFFF%modulus), nil
}

// hasDigits reports whether a response begins with the digits of a code.
func hasDigits(response []byte) bool {
	return len(response) > 0 && response[0] >= oath.MinDigits && response[0] <= oath.MaxDigits
}

// Steam's codes. Source: reference yubikey-otp.md §6.3.
const (
	steamLetters = "23456789BCDFGHJKMNPQRTVWXY"
	steamLen     = 5
	minMAC       = 20 // SHA-1
)

// steamCode is the code of a whole response: its 31 bits in letters, the lowest first. Source of the 31 bits: RFC 4226 §5.3.
func steamCode(response []byte) (string, error) {
	if len(response) < 1+minMAC {
		return "", fmt.Errorf("%w: a response of %d bytes", apdu.ErrProtocol, len(response))
	}
	mac := response[1:]
	n := binary.BigEndian.Uint32(mac[mac[len(mac)-1]&0x0F:]) & 0x7FFFFFFF
	code := make([]byte, 0, steamLen)
	for range steamLen {
		code = append(code, steamLetters[n%uint32(len(steamLetters))])
		n /= uint32(len(steamLetters))
	}
	return string(code), nil
}

// CalculateAll is all accounts in the key's order, with the codes that the key makes without using up a counter and without a
// touch. The key takes one challenge for all: those of other periods, and Steam's, are asked for one by one.
func (s *Session) CalculateAll(ctx context.Context, now time.Time) ([]Entry, error) {
	entries, err := s.calculateAll(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("calculate OATH codes: %w", err)
	}
	return entries, nil
}

func (s *Session) calculateAll(ctx context.Context, now time.Time) ([]Entry, error) {
	list, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	challenge, code := stepOf(now, DefaultPeriod)
	answer, err := s.ask(ctx, apdu.Command{Instruction: insCalculateAll, P2: truncated, Data: apdu.AppendTLV(nil, tagChallenge, challenge)}, nil)
	if err != nil {
		return nil, err
	}
	told, err := responses(answer)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(list))
	for i, a := range list {
		r, ok := told[a.ID()]
		entries[i] = Entry{Account: a}
		if !ok {
			continue
		}
		e := &entries[i]
		e.Digits, e.Touch = int(r.Value[0]), r.Tag == tagTouch
		if r.Tag != tagTruncated {
			continue
		}
		if a.period() != DefaultPeriod || a.Steam() {
			e.Code, err = s.calculate(ctx, a, now)
		} else {
			e.Code = code
			e.Code.Value, err = decimal(r.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// responses reads the answer to CALCULATE ALL, pairs of 71 ID and 76, 77 or 7C, each beginning with the digits.
func responses(answer []byte) (map[string]apdu.TLV, error) {
	told := map[string]apdu.TLV{}
	var id string
	named := false
	for item, err := range apdu.Items(answer) {
		switch {
		case err != nil:
			return nil, err
		case !named && item.Tag == tagName:
			id, named = string(item.Value), true
			continue
		case !named || item.Tag != tagTruncated && item.Tag != tagHOTP && item.Tag != tagTouch || !hasDigits(item.Value):
			return nil, fmt.Errorf("%w: account %d has no response", apdu.ErrProtocol, len(told)+1)
		}
		told[id], named = item, false
	}
	if named {
		return nil, fmt.Errorf("%w: the last account has no response", apdu.ErrProtocol)
	}
	return told, nil
}
