package desk

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/tokendesk/tokendesk/provision/token"
)

// field is one text by which something is found.
type field struct {
	why   Why
	words []string
}

// PersonWords are the words by which a person is found, each once: see Term.
func PersonWords(p token.Person) []string { return allWords(personFields(p)) }

// TokenWords are those of a token, without its holder's and without public IDs.
func TokenWords(t token.Token) []string { return allWords(tokenFields(t)) }

func personFields(p token.Person) []field {
	return []field{
		{ByAccount, words(p.Account)},
		{ByName, words(p.Name)},
		{ByMail, wholeForms(p.Mail)},
	}
}

func tokenFields(t token.Token) []field {
	return []field{
		{BySerial, wholeForms(t.Serial.String())},
		{ByStockNumber, words(t.StockNumber)},
		{ByLabel, words(t.Label)},
		{ByTokenName, words(t.Name)},
	}
}

// fields are those of the token first.
func (h Hit) fields() (out []field) {
	if h.Token != nil {
		out = tokenFields(*h.Token)
	}
	if h.Person != nil {
		out = append(out, personFields(*h.Person)...)
	}
	return out
}

func allWords(fields []field) (out []string) {
	for _, f := range fields {
		out = append(out, f.words...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// words are what stands between blanks, and, of what is put together from several parts ("Müller-Lüdenscheidt", "4711-0032"),
// also the parts, and the whole without what joins them.
func words(text string) (out []string) {
	for _, chunk := range strings.Fields(text) {
		out = append(out, wholeForms(chunk)...)
		parts := strings.FieldsFunc(chunk, joins)
		if len(parts) < 2 {
			continue
		}
		for _, p := range append(parts, strings.Join(parts, "")) {
			out = append(out, wholeForms(p)...)
		}
	}
	return out
}

// joins: everything but letters, digits and the accents that follow them.
func joins(r rune) bool { return !unicode.In(r, unicode.L, unicode.N, unicode.M) }

// wholeForms are the ways to spell a word that is kept: as termForms has them, and with ae, oe and ue shortened, so that a
// name that is kept as Mueller is found as muller too.
func wholeForms(word string) []string {
	out := termForms(word)
	if len(out) > 0 {
		if short := shortened.Replace(out[0]); !slices.Contains(out, short) {
			out = append(out, short)
		}
	}
	return out
}

// The spellings: of umlauts by two letters, of those two by one, and of letters that no accent makes.
var (
	spelledOut = strings.NewReplacer("a\u0308", "ae", "o\u0308", "oe", "u\u0308", "ue", "ø", "oe", "a\u030a", "aa")
	shortened  = strings.NewReplacer("ae", "a", "oe", "o", "ue", "u")
	plain      = strings.NewReplacer("ß", "ss", "æ", "ae", "œ", "oe", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "ı", "i", "’", "'")
)

// maxWord is how much of a word counts, in characters.
const maxWord = 60

// termForms are the ways to spell a word that is looked for, in lower case, without accents and without punctuation around it:
// "mueller" and "muller" for Müller, one for most others, none for a word without letters and digits.
func termForms(word string) []string {
	word = onlySpelledOut(strings.ToLower(norm.NFKD.String(word)))
	long := bare(spelledOut.Replace(word))
	if long == "" {
		return nil
	}
	if short := bare(strings.ReplaceAll(word, "ø", "o")); short != long {
		return []string{long, short}
	}
	return []string{long}
}

// onlySpelledOut keeps, of all accents, those that are also written as a second letter: ä, ö, ü and å, also under a further accent. They
// stand behind their letter: the norm package composes some letters above U+FFFF to others.
func onlySpelledOut(word string) string {
	var base rune // 0: it has its accent
	return strings.Map(func(r rune) rune {
		switch {
		case !unicode.Is(unicode.Mn, r):
			base = r
		case r == '\u0308' && strings.ContainsRune("aou", base), r == '\u030a' && base == 'a':
			base = 0
		default:
			return -1
		}
		return r
	}, norm.NFD.String(word))
}

// bare is a word without accents and without what stands around it, cut to the length that counts; letters that no accent makes
// are written as two, or as the plain one.
func bare(word string) string {
	word = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(word))
	word = strings.TrimFunc(plain.Replace(word), joins) // after the accents: ǽ is æ with one
	if r := []rune(word); len(r) > maxWord {
		word = strings.TrimFunc(string(r[:maxWord]), joins)
	}
	return word
}
