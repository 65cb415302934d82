package token

import (
	"io"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// spokenAlphabet has 32 characters, 5 bits each: digits and capital letters without the look-alikes 0, O, 1, I.
const spokenAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// The lengths of what people read to each other, in characters of 5 bits.
const (
	CodeLen    = 10 // temporary and recovery codes: 50 bits
	SupportLen = 8  // support codes: 40 bits
	PINLen     = 6  // the PIN of a link: 30 bits
)

// NewSpoken draws n characters that people can read to each other, from r, which is crypto/rand.Reader outside tests. All
// values are equally likely: each takes 5 bits of a byte of its own. The caller destroys it.
func NewSpoken(r io.Reader, n int) (secret.Bytes, error) {
	s, err := secret.Random(r, n)
	if err != nil {
		return s, err
	}
	text := s.Reveal()
	for i, b := range text {
		text[i] = spokenAlphabet[b&31]
	}
	return s, nil
}

// NormaliseSpoken is what somebody typed, without blanks and dashes and in capital letters; false if then a character is left
// that NewSpoken does not draw, or none. Of what is right it is the same for every spelling, so that it can be hashed.
func NormaliseSpoken(s string) (string, bool) {
	var out strings.Builder
	for _, r := range s {
		switch {
		case strings.ContainsRune(" \t\r\n\u00a0\u202f-\u2010\u2011\u2012\u2013\u2014\u2212", r):
			continue
		case 'a' <= r && r <= 'z':
			r -= 'a' - 'A'
		}
		if !strings.ContainsRune(spokenAlphabet, r) {
			return "", false
		}
		out.WriteRune(r)
	}
	return out.String(), out.Len() > 0
}

// ShowSpoken writes a normalised value in two halves with a dash: "7KM4Q-2X9AB".
func ShowSpoken(s string) string {
	if len(s) < 2 {
		return s
	}
	half := (len(s) + 1) / 2
	return s[:half] + "-" + s[half:]
}

// spellings are the spelling alphabets by language: for German DIN 5009:2022, otherwise that of ICAO and ITU. They follow
// spokenAlphabet.
var spellings = map[string][]string{
	"de": strings.Fields(`zwei drei vier fünf sechs sieben acht neun Aachen Berlin Chemnitz Düsseldorf Essen Frankfurt Goslar Hamburg
		Jena Köln Leipzig München Nürnberg Potsdam Quickborn Rostock Salzwedel Tübingen Unna Völklingen Wuppertal Xanten Ypsilon Zwickau`),
	"en": strings.Fields(`two three four five six seven eight nine Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel
		Juliett Kilo Lima Mike November Papa Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu`),
}

// SpellSpoken is a word for each character of a normalised value, in "de" or "en"; nil for another language.
func SpellSpoken(s, language string) []string {
	words := spellings[language]
	if words == nil {
		return nil
	}
	out := make([]string, 0, len(s))
	for _, r := range s {
		if i := strings.IndexRune(spokenAlphabet, r); i >= 0 {
			out = append(out, words[i])
		}
	}
	return out
}
