// Package calibrate finds out how the seeds of a batch are written and what its tokens do, by two consecutive codes of one of
// them:
//
//	fits, err := calibrate.Find(text, "460152", "908812", now)
//	// one fit: it holds for the batch; several: two more codes decide; none: the seed is another token's, or encrypted
//
// One code would not do: the search tries up to 250,000 hypotheses, and a code of 6 digits fits one of a million. Two fit by
// chance three times in 10^7. Two codes that are not neighbours fit nothing.
//
// Nothing is stored here and no clock is read. A Find takes a second or so on one core.
package calibrate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/seedtable"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// How far the search goes. Sources: reference key-files.md §9 rules 5 and 7, PRODUCT.md §3.c.
const (
	MaxDrift   = 24 * time.Hour // either way
	MaxCounter = 1000           // of the first code
)

// Periods lists the periods that are tried.
func Periods() []time.Duration {
	return []time.Duration{30 * time.Second, time.Minute, 15 * time.Second}
}

// Fit is one set of parameters under which the token shows both codes.
type Fit struct {
	Encoding seedtable.Encoding
	Kind     token.Kind // HOTP or TOTP
	Hash     oath.Hash
	Digits   int
	Period   time.Duration // TOTP
	Drift    time.Duration // TOTP: how far the token's clock is ahead of now, in whole periods; negative when it is slow
	Counter  int64         // HOTP: the next moving factor
}

// String is the fit in words, such as "hex, totp, sha1, 6 digits, 60 s, clock 2m0s slow".
func (f Fit) String() string {
	s := fmt.Sprintf("%s, %s, %s, %d digits", f.Encoding, f.Kind, f.Hash, f.Digits)
	switch {
	case f.Kind == token.HOTP:
		return fmt.Sprintf("%s, counter %d", s, f.Counter)
	case f.Drift == 0:
		return fmt.Sprintf("%s, %d s, clock right", s, int(f.Period/time.Second))
	case f.Drift < 0:
		return fmt.Sprintf("%s, %d s, clock %s slow", s, int(f.Period/time.Second), -f.Drift)
	}
	return fmt.Sprintf("%s, %d s, clock %s fast", s, int(f.Period/time.Second), f.Drift)
}

// What is wrong with the codes.
var (
	ErrCodes = errors.New("two codes of equally many digits, 6 to 8, are needed")
	ErrSame  = errors.New("both codes are the same: wait until the token shows another one")
)

// Find tries every encoding of seedtable.Encodings in which text is a seed, every hash, and for TOTP every period and drift, for
// HOTP every counter. text is the seed as the vendor's file writes it; second is the code that followed first, at now. It
// returns everything that fits, the smallest drift first; nothing is no error. Two encodings that give the same key are one
// fit. text stays the caller's.
func Find(text secret.Bytes, first, second string, now time.Time) ([]Fit, error) {
	var tried []secret.Bytes
	defer func() {
		for _, key := range tried {
			key.Destroy()
		}
	}()
	out, err := []Fit(nil), check(first, second)
	for _, e := range seedtable.Encodings() {
		key, bad := e.Decode(text.Reveal())
		if bad != nil || err != nil {
			continue
		}
		again := slices.ContainsFunc(tried, key.Equal)
		tried = append(tried, key)
		if again {
			continue
		}
		var fits []Fit
		fits, err = FindKey(key, e, first, second, now)
		out = append(out, fits...)
	}
	slices.SortStableFunc(out, func(a, b Fit) int { return cmp.Compare(a.Drift.Abs(), b.Drift.Abs()) })
	return out, err
}

// FindKey is Find for a seed that was read already, in the encoding that the fits are to name.
func FindKey(key secret.Bytes, e seedtable.Encoding, first, second string, now time.Time) ([]Fit, error) {
	if err := check(first, second); err != nil {
		return nil, err
	}
	s := search{first: pack(first), second: pack(second), now: now}
	for _, hash := range []oath.Hash{oath.SHA1, oath.SHA256, oath.SHA512} {
		g, err := oath.New(key, hash, len(s.first))
		if err != nil {
			return nil, fmt.Errorf("try %s with %s: %w", e, hash, err)
		}
		s.like = Fit{Encoding: e, Hash: hash, Digits: len(s.first)}
		s.hotp(g)
		s.totp(g)
	}
	slices.SortStableFunc(s.fits, func(a, b Fit) int { return cmp.Compare(a.Drift.Abs(), b.Drift.Abs()) })
	return s.fits, nil
}

func check(first, second string) error {
	first, second = pack(first), pack(second)
	switch {
	case !oath.IsCode(first) || !oath.IsCode(second) || len(first) != len(second):
		return ErrCodes
	case first == second:
		return ErrSame
	}
	return nil
}

// search collects the fits.
type search struct {
	first, second string
	now           time.Time
	like          Fit // what holds for the generator that is tried
	fits          []Fit
}

func (s *search) hotp(g oath.Generator) {
	for c := range s.neighbours(g, 0, MaxCounter) {
		fit := s.like
		fit.Kind, fit.Counter = token.HOTP, c+2
		s.fits = append(s.fits, fit)
	}
}

func (s *search) totp(g oath.Generator) {
	for _, period := range Periods() {
		here, far := oath.Step(s.now, period), int64(MaxDrift/period)
		for step := range s.neighbours(g, here-1-far, here-1+far) {
			fit := s.like
			fit.Kind, fit.Period, fit.Drift = token.TOTP, period, time.Duration(step+1-here)*period
			s.fits = append(s.fits, fit)
		}
	}
}

// neighbours yields every moving factor from low to high that gives the first code while the next one gives the second.
func (s *search) neighbours(g oath.Generator, low, high int64) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		for c := low; c <= high; c++ {
			if g.Code(c) == s.first && g.Code(c+1) == s.second && !yield(c) {
				return
			}
		}
	}
}

// pack takes out the blanks that people write into a code.
func pack(code string) string { return strings.ReplaceAll(strings.TrimSpace(code), " ", "") }
