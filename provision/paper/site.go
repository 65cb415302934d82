package paper

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/profile"
)

// The languages of paper.
const (
	german  = "de"
	english = "en"
)

// Languages lists them.
func Languages() []string { return []string{german, english} }

// site is what a site says of itself, by key; a key with ".de" or ".en" is for that language alone.
type site struct {
	text map[string]string
	card cardRule
}

// siteKeys are those that templates see. The others are language, paper, card and account.
func siteKeys() []string {
	return []string{"name", "phone", "mail", "url", "hours", "loss-url", "activation-url"}
}

// maxSite is the longest text of a site, in bytes.
const maxSite = 200

// parseSite reads site.txt. The error is a *profile.SyntaxError.
func parseSite(text string) (site, error) {
	lines, err := profile.Lines(text)
	if err != nil {
		return site{}, err
	}
	s := site{text: map[string]string{"language": english, "paper": string(A4)}}
	seen := map[string]bool{}
	for _, l := range lines {
		base, language, _ := strings.Cut(l.Key, ".")
		translated := language == "" && !strings.Contains(l.Key, ".") || slices.Contains(Languages(), language)
		switch {
		case seen[l.Key]:
			return site{}, l.RefuseKey("comes twice")
		case slices.Contains(siteKeys(), base) && translated:
			if len(l.Value) > maxSite {
				return site{}, l.Refuse(fmt.Sprintf("is longer than %d bytes", maxSite))
			}
			s.text[l.Key] = clean(l.Value)
		case l.Key == "language":
			if !slices.Contains(Languages(), l.Value) {
				return site{}, l.Refuse("de and en are possible")
			}
			s.text[l.Key] = l.Value
		case l.Key == "paper":
			if !slices.Contains(Sizes(), Size(l.Value)) {
				return site{}, l.Refuse("a4, a5 and 80mm are possible")
			}
			s.text[l.Key] = l.Value
		case l.Key == "card", l.Key == "account":
			p, err := parsePattern(l.Value)
			if err != nil {
				return site{}, l.Refuse(err.Error())
			}
			if l.Key == "card" {
				s.card.card = p
			} else {
				s.card.account = p
			}
		default:
			return site{}, &profile.SyntaxError{Line: l.At, Column: l.KeyColumn,
				Problem: "unknown key; the keys are " + strings.Join(siteKeys(), ", ") + ", each with .de or .en behind it or not, language, paper, card, account"}
		}
		seen[l.Key] = true
	}
	return s, nil
}

// size is the site's paper where no other is asked for.
func (s site) size(asked Size) Size {
	if asked == "" {
		return Size(s.text["paper"])
	}
	return asked
}

// say is the site's text in a language.
func (s site) say(key, language string) string {
	if t, ok := s.text[key+"."+language]; ok {
		return t
	}
	return s.text[key]
}
