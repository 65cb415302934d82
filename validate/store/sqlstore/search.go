package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// countTo is how far the texts that begin with a term are counted. Where there are fewer, whoever has them is listed once; where there
// are more, each person or token that the leading term finds is looked up.
const countTo = 5000

// leastCompared is how many pairs that fit are compared, if as many fit.
const leastCompared = 400

// Search implements desk.Searcher. The rarest term leads; what it finds must fit the others.
func (s *Store) Search(ctx context.Context, q desk.SearchQuery) ([]desk.Hit, error) {
	hits, err := s.search(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("search: %w", translate(err))
	}
	return hits, nil
}

func (s *Store) search(ctx context.Context, q desk.SearchQuery) ([]desk.Hit, error) {
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	var pairs []pair
	if len(q.PublicIDs) > 0 {
		ids, err := s.publicIDTokens(ctx, q.PublicIDs)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			pairs = append(pairs, pair{token: id})
		}
	}
	if len(q.Terms) > 0 {
		found, err := s.pairs(ctx, q)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, found...)
	}
	return s.hits(ctx, pairs)
}

// pair is what a hit is made of; 0 is none.
type pair struct {
	person token.PersonID
	token  token.ID
}

func scanPair(row scanner) (p pair, err error) { return p, row.Scan(&p.person, &p.token) }

// span is where words or public IDs stand that begin with a text.
type span struct {
	table *wordTable
	from  string
	many  bool // countTo or more, or not counted
}

// to is behind the last text that begins with from: no word holds this character.
func (s span) to() string { return s.from + "\U0010FFFF" }

// wordTable is a table of texts and whose they are, and how to get from its row w to p and t, the person and the token of a pair.
type wordTable struct{ name, text, whose, join, pair string }

// The three tables.
func wordTables() (person, tokens, public *wordTable) {
	const ofToken = `LEFT JOIN person p ON p.id = t.holder`
	return &wordTable{`person_word`, `word`, `person`, `JOIN person p ON p.id = w.person LEFT JOIN token t ON t.holder = p.id`, `p.id`},
		&wordTable{`token_word`, `word`, `token`, `JOIN token t ON t.id = w.token ` + ofToken, `t.id`},
		&wordTable{`credential`, `public_id`, `token`, `JOIN token t ON t.id = w.token ` + ofToken, `t.id`}
}

// spans are those of a term; one of them is enough.
func spans(t desk.Term) (out []span) {
	person, tokens, public := wordTables()
	for _, form := range t.Forms {
		out = append(out, span{person, form, true}, span{tokens, form, true})
	}
	if t.PublicID != "" {
		out = append(out, span{public, t.PublicID, true})
	}
	return out
}

// pairs are those that fit all terms, those first that the leading term fits as a whole word and that are not revoked. Of several
// terms, more than wanted, so that what the others fit better can still come forward. Where very many fit, only the first of
// them by their words are compared.
func (s *Store) pairs(ctx context.Context, q desk.SearchQuery) ([]pair, error) {
	terms := make([][]span, len(q.Terms))
	for i, t := range q.Terms {
		terms[i] = spans(t)
	}
	wanted, compared := q.Most, max(leastCompared, 8*q.Most)
	if len(terms) > 1 {
		if err := s.rarestFirst(ctx, terms); err != nil {
			return nil, err
		}
		wanted = 4 * q.Most
	}
	where, rest := fitAll(terms[1:])
	var all []pair
	for _, n := range terms[0] {
		args := append(append([]any{n.from, n.from, n.to()}, rest...), compared, wanted)
		found, err := collect(ctx, s.read, scanPair, fmt.Sprintf(`SELECT person, token FROM (
			SELECT coalesce(p.id, 0) AS person, coalesce(t.id, 0) AS token, CASE w.%[2]s WHEN ? THEN 1 ELSE 0 END AS whole, CASE t.state WHEN 'revoked' THEN 1 ELSE 0 END AS revoked, p.account AS account
			FROM %[1]s w %[3]s WHERE w.%[2]s >= ? AND w.%[2]s < ?%[4]s ORDER BY w.%[2]s LIMIT ?) AS fit
			GROUP BY person, token ORDER BY max(whole) DESC, max(revoked), person = 0, max(account), token LIMIT ?`, n.table.name, n.table.text, n.table.join, where), args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// fitAll is the condition that p and t fit all of some terms.
func fitAll(terms [][]span) (string, []any) {
	var where strings.Builder
	var args []any
	for _, t := range terms {
		for k, n := range t {
			form := `%s IN (SELECT x.%s FROM %s x WHERE x.%[4]s >= ? AND x.%[4]s < ?)`
			if n.many {
				form = `EXISTS (SELECT 1 FROM %[3]s x WHERE x.%[2]s = %[1]s AND x.%[4]s >= ? AND x.%[4]s < ?)`
			}
			where.WriteString([]string{` AND (`, ` OR `}[min(k, 1)])
			fmt.Fprintf(&where, form, n.table.pair, n.table.whose, n.table.name, n.table.text)
			args = append(args, n.from, n.to())
		}
		where.WriteString(`)`)
	}
	return where.String(), args
}

// rarestFirst sorts terms by how many texts begin with them.
func (s *Store) rarestFirst(ctx context.Context, terms [][]span) error {
	counts := map[*span]int{}
	for _, t := range terms {
		for k := range t {
			n, count := &t[k], 0
			err := s.read.QueryRowContext(ctx, fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM %s WHERE %[2]s >= ? AND %[2]s < ? LIMIT ?) AS found`,
				n.table.name, n.table.text), n.from, n.to(), countTo).Scan(&count)
			if err != nil {
				return err
			}
			n.many = count == countTo
			counts[&t[0]] += count
		}
	}
	slices.SortStableFunc(terms, func(a, b []span) int { return counts[&a[0]] - counts[&b[0]] })
	return nil
}

// hits reads the rows of pairs, each pair once. A token's row has its holder.
func (s *Store) hits(ctx context.Context, pairs []pair) ([]desk.Hit, error) {
	var tokens, persons []any
	for _, p := range pairs {
		if p.token != 0 {
			tokens = append(tokens, p.token)
		} else {
			persons = append(persons, p.person)
		}
	}
	var out []desk.Hit
	if len(tokens) > 0 {
		list, err := collect(ctx, s.read, scanToken, `SELECT `+tokenColumns+tokenFrom+`WHERE t.id IN `+placeholders(len(tokens)), tokens...)
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			out = append(out, desk.Hit{Person: k.Holder, Token: &k})
		}
	}
	if len(persons) > 0 {
		list, err := collect(ctx, s.read, scanPerson, `SELECT `+personColumns+` FROM person p WHERE p.id IN `+placeholders(len(persons)), persons...)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			out = append(out, desk.Hit{Person: &p})
		}
	}
	return out, nil
}

// placeholders is a list of n in parentheses.
func placeholders(n int) string { return `(?` + strings.Repeat(`, ?`, n-1) + `)` }
