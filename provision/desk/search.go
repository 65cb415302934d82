package desk

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// Hit is one thing that a search found: a token with its holder, or a person without tokens.
type Hit struct {
	Person *token.Person // nil: nobody holds the token
	Token  *token.Token  // nil: the person holds none
	Why    Why           // the field that fits
}

// Why says which field of a hit fits the query.
type Why string

// The fields, in the order in which they are told when several fit.
const (
	ByOTP         Why = "one-time password"
	BySerial      Why = "serial"
	ByStockNumber Why = "stock number"
	ByLabel       Why = "label"
	ByPublicID    Why = "public ID"
	ByAccount     Why = "account"
	ByName        Why = "name"
	ByMail        Why = "mail"
	ByTokenName   Why = "token name"
)

// Searcher finds by words.
type Searcher interface {
	// Search returns persons with each of their tokens, and tokens, that fit every term or have one of the public IDs: each pair
	// once, a few more than q.Most, those first that have a term as a whole word and are not revoked. Why is empty.
	Search(ctx context.Context, q SearchQuery) ([]Hit, error)
}

// SearchQuery is a search as the store answers it.
type SearchQuery struct {
	Terms     []Term           // all of them; none: only PublicIDs count
	PublicIDs []token.PublicID // of a typed OTP
	Most      int              // hits that are wanted
}

// Term is the beginning of a word of PersonWords or TokenWords, or of a public ID.
type Term struct {
	Forms    []string // the ways in which it may be spelled, one or two
	PublicID string   // "" if it begins none
}

// The bounds of a query.
const (
	minPublicID = 4  // characters of one that begin it well enough
	maxTerms    = 10 // words of a query
)

// Search finds persons and tokens by words in any order, each the beginning of a name, account, mail address, serial, label, stock
// number or public ID (from four characters on); case, accents and the two ways to spell umlauts do not count. A typed OTP finds
// its token and is not kept. The best come first: whole words before beginnings, what lives before what is revoked; at
// most as many as asked for. An empty query finds nothing. *TextError for a text that is too long or no UTF-8; no error holds the query.
func (d *Desk) Search(ctx context.Context, query string, most int) ([]Hit, error) {
	if len(query) > maxText {
		return nil, &TextError{"query", "is too long"}
	}
	if !utf8.ValidString(query) {
		return nil, &TextError{"query", "is not UTF-8"}
	}
	q := parseSearch(query)
	if q.Most = most; most < 1 || len(q.Terms) == 0 && len(q.PublicIDs) == 0 {
		return nil, nil
	}
	if len(q.Terms) > maxTerms {
		return nil, &TextError{"query", "has too many words"}
	}
	hits, err := d.Store.Search(ctx, q)
	if err != nil {
		return nil, err
	}
	rank(hits, q)
	return hits[:min(len(hits), most)], nil
}

// parseSearch takes a query apart. Text that is longer than any public ID and reads as an OTP is nothing else.
func parseSearch(query string) SearchQuery {
	var q SearchQuery
	for _, r := range validate.Readings(query) {
		q.PublicIDs = append(q.PublicIDs, r.PublicID)
	}
	if len(q.PublicIDs) > 0 && len(strings.TrimSpace(query)) > 2*token.MaxPublicID {
		return q
	}
	for _, chunk := range strings.Fields(query) {
		t := Term{Forms: termForms(chunk)}
		if len(t.Forms) == 0 {
			continue
		}
		begin := t.Forms[len(t.Forms)-1]
		if len(begin) >= minPublicID && isModHex(begin) {
			t.PublicID = begin
		}
		q.Terms = append(q.Terms, t)
	}
	return q
}

// isModHex says whether text is of that alphabet, also with an odd number of characters.
func isModHex(text string) bool {
	_, err := modhex.DecodeString(text + text)
	return err == nil
}

// rank sorts hits, and says why each is one.
func rank(hits []Hit, q SearchQuery) {
	type ranked struct {
		Hit
		whole int // terms that are whole words
	}
	list := make([]ranked, len(hits))
	for i, h := range hits {
		list[i].Hit = h
		list[i].Why, list[i].whole = h.fit(q)
	}
	slices.SortStableFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.whole, a.whole), compareBool(a.revoked(), b.revoked()), compareBool(a.Person == nil, b.Person == nil),
			cmp.Compare(a.account(), b.account()), cmp.Compare(a.number(), b.number()))
	})
	for i := range list {
		hits[i] = list[i].Hit
	}
}

// fit is the field that the first term fits best, and how many terms are whole words.
func (h Hit) fit(q SearchQuery) (why Why, whole int) {
	fields := h.fields()
	for i, t := range q.Terms {
		found, exact := t.field(fields)
		if exact {
			whole++
		}
		if i == 0 {
			why = found
		}
	}
	switch {
	case why == "" && len(q.Terms) == 0:
		why = ByOTP
	case why == "":
		why = ByPublicID
	}
	return why, whole
}

// field is the first field with a word that is the term, or else begins with it.
func (t Term) field(fields []field) (why Why, whole bool) {
	for _, f := range fields {
		for _, w := range f.words {
			for _, form := range t.Forms {
				switch {
				case w == form:
					return f.why, true
				case why == "" && strings.HasPrefix(w, form):
					why = f.why
				}
			}
		}
	}
	return why, false
}

func (h Hit) revoked() bool { return h.Token != nil && h.Token.State == token.Revoked }

func (h Hit) account() string {
	if h.Person == nil {
		return ""
	}
	return h.Person.Account
}

func (h Hit) number() token.ID {
	if h.Token == nil {
		return 0
	}
	return h.Token.ID
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
