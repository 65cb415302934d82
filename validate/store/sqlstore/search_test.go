package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
)

// wordsAgree fails unless the words of every person and token are what package desk makes of its row, and none are due.
func wordsAgree(t *testing.T, s *Store) {
	t.Helper()
	want, got := map[string]bool{}, map[string]bool{}
	persons, err := s.Persons(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range persons {
		for _, w := range desk.PersonWords(p) {
			want[fmt.Sprint("person ", p.ID, " ", w)] = true
		}
	}
	tokens, err := s.Tokens(t.Context(), desk.Match{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range tokens {
		for _, w := range desk.TokenWords(k) {
			want[fmt.Sprint("token ", k.ID, " ", w)] = true
		}
	}
	list, err := collect(t.Context(), s.read, func(row scanner) (w string, err error) { return w, row.Scan(&w) },
		`SELECT 'person ' || person || ' ' || word FROM person_word UNION ALL SELECT 'token ' || token || ' ' || word FROM token_word
		UNION ALL SELECT 'due ' || person || ' ' || token FROM word_due`)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list {
		got[w] = true
	}
	if len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("words\n%q, want\n%q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// TestWordsFollow: whatever adds or changes a person or a token, its words are right when the transaction ends.
func TestWordsFollow(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	if _, err := s.AddPersons(t.Context(), []token.Person{{Account: "anna", Name: "Anna Müller"}}); err != nil {
		t.Fatal(err)
	}
	harness{s, s}.Add(t, storetest.Sample(1, token.Active))
	wordsAgree(t, s)
	for _, text := range []string{
		`UPDATE token SET stock_number = 'R-17'`, `UPDATE token SET name = 'My phone'`, `UPDATE token SET label = 'Käfer'`, `UPDATE token SET serial = 4711`,
		`UPDATE person SET name = 'Anna Adler'`, `UPDATE person SET mail = 'a@example.org'`, `UPDATE person SET account = 'adler'`,
		`INSERT INTO token (model, state, label, created) VALUES ('app', 'active', 'New', 1)`,
	} {
		err := s.change(t.Context(), func(tx *tx) error {
			if _, err := tx.Exec(text); err != nil {
				return err
			}
			return tx.desk("test", "store", nil)
		})
		if err != nil {
			t.Fatal(err)
		}
		wordsAgree(t, s)
	}
}

// TestSearchCatchesUp: a store without words gets them when it is opened, and what a process that makes none has added is
// found by the next search.
func TestSearchCatchesUp(t *testing.T) {
	t.Parallel()
	s, p := makeStore(t)
	harness{s, s}.Add(t, storetest.Sample(1, token.Active))
	if _, err := s.AddPersons(t.Context(), []token.Person{{Account: "anna"}, {Account: "bert"}}); err != nil {
		t.Fatal(err)
	}
	first := place{firstVersion(t, s, p.dir), p.keys}
	again := first.openStore(t)
	wordsAgree(t, again)
	execute(t, again, `INSERT INTO person (account, name, mail, created) VALUES ('carl', 'Carl', '', 1)`)
	hits, err := again.Search(t.Context(), desk.SearchQuery{Terms: []desk.Term{{Forms: []string{"carl"}}}, Most: 1})
	if err != nil || len(hits) != 1 || hits[0].Person.Account != "carl" {
		t.Errorf("%+v, %v", hits, err)
	}
	wordsAgree(t, again)
}

// The sizes of the store that BenchmarkSearch searches. Source: issue 4.
const (
	benchPersons = 100_000
	benchTokens  = 200_000
)

// mostSearch is how long the slowest search may take. Source: issue 4, PRODUCT.md §3.d.
const mostSearch = 200 * time.Millisecond

// BenchmarkSearch searches a store of 100,000 persons and 200,000 tokens, of whom half hold three and half hold one, by what
// people type: it reports the median and the slowest of all, and fails when a query takes longer than it may, by the median of its own.
func BenchmarkSearch(b *testing.B) {
	s, _ := makeStore(b)
	populate(b, s)
	d := &desk.Desk{Store: s, Now: time.Now}
	var all []time.Duration
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, q := range benchQueries() {
			start := time.Now()
			hits, err := d.Search(b.Context(), q.text, 50)
			t := time.Since(start)
			if err != nil || len(hits) < q.least {
				b.Fatalf("%q: %d hits, %v", q.text, len(hits), err)
			}
			all, took[q.text] = append(all, t), append(took[q.text], t)
		}
	}
	b.ReportMetric(float64(median(all).Microseconds()), "median-µs")
	b.ReportMetric(float64(slices.Max(all).Microseconds()), "slowest-µs")
	for q, list := range took {
		t := median(list)
		b.Logf("%9v %q", t.Round(time.Microsecond), q)
		if t > mostSearch {
			b.Errorf("%q took %v, %v at most", q, t, mostSearch)
		}
	}
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

type benchQuery struct {
	text  string
	least int
}

func benchQueries() []benchQuery {
	return []benchQuery{
		{"a", 50}, {"m", 50}, {"t", 50}, {"v", 50}, {"1", 50}, {"vvcc", 50}, {"user", 50}, {"totp", 50},
		{"müller", 50}, {"muell", 50}, {"anna", 50}, {"anna müller", 50}, {"müller anna", 50}, {"a m", 50}, {"anna müller 10", 50}, {"x y", 0}, {"u 1 m a", 50},
		{"user054321", 1}, {"user054321@example.org", 1}, {"anna.mueller.054", 0}, {"10054322", 1}, {"1005", 50}, {"r-054321", 1}, {"totp00054321", 1},
		{"phone anna", 0}, {"user 10054322", 1}, {"nobody", 0}, {"anna nobody", 0}, {"zzz totp", 0},
		{token.SerialPublicID(10_054_322).String(), 1}, {token.SerialPublicID(10_054_322).String() + "cbdefghijklnrtuvcbdefghijklnrtuv", 1},
	}
}

// populate writes persons and tokens by SQL, as only their words matter, and makes the words.
func populate(b *testing.B, s *Store) {
	b.Helper()
	start := time.Now()
	first := []string{"Anna", "Bert", "Carla", "Dörte", "Emil", "Frida", "Gül", "Hans", "Ines", "Jörg", "Karl", "Lena", "Max", "Nora", "Otto", "Paula", "Rita", "Sven", "Tom", "Uwe", "Vera", "Willi"}
	last := []string{"Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Meyer", "Wagner", "Becker", "Schulz", "Hoffmann", "Koch", "Bauer", "Richter", "Klein", "Wolf", "Schröder", "Neumann", "Schwarz", "Braun",
		"Hofmann", "Zimmermann", "Schmitt", "Hartmann", "Krüger", "Schmid", "Werner", "Lange", "Meier", "Walter", "Köhler", "Maier", "Beck", "König", "Krause", "Schulze", "Huber", "Mayer", "Frank", "Lehmann"}
	err := s.change(b.Context(), func(tx *tx) error {
		person, err := tx.raw.Prepare(`INSERT INTO person (account, name, mail, created) VALUES (?, ?, ?, 1)`)
		if err != nil {
			return err
		}
		for n := range benchPersons {
			account := fmt.Sprintf("user%06d", n)
			if _, err := person.Exec(account, first[n%len(first)]+" "+last[n/7%len(last)], account+"@example.org"); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`
			WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n LIMIT ?1)
			INSERT INTO token (model, serial, label, stock_number, name, state, holder, created)
			SELECT CASE n % 2 WHEN 0 THEN 'yubikey' ELSE 'app' END, CASE n % 2 WHEN 0 THEN 10000000 + n END, CASE n % 2 WHEN 1 THEN printf('TOTP%08d', n) ELSE '' END,
				CASE n % 2 WHEN 0 THEN '' ELSE printf('R-%06d', n) END, CASE n % 4 WHEN 1 THEN 'my phone' ELSE '' END,
				CASE n % 10 WHEN 3 THEN 'revoked' ELSE 'active' END, 1 + CASE WHEN n < ?2 THEN n ELSE (n - ?2) / 2 END, 1 FROM n`, benchTokens, benchPersons)
		if err != nil {
			return err
		}
		return addPublicIDs(tx)
	})
	if err == nil {
		err = s.catchUp(context.WithoutCancel(b.Context()))
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d persons, %d tokens in %v", benchPersons, benchTokens, time.Since(start).Round(time.Millisecond))
}

// addPublicIDs gives every YubiKey a credential.
func addPublicIDs(tx *tx) error {
	serials, err := collect(context.Background(), tx, func(row scanner) (s [2]int64, err error) { return s, row.Scan(&s[0], &s[1]) }, `SELECT id, serial FROM token WHERE serial IS NOT NULL`)
	if err != nil {
		return err
	}
	insert, err := tx.raw.Prepare(`INSERT INTO credential (token, kind, slot, public_id, state, created) VALUES (?, 'yubico-otp', 1, ?, 'active', 1)`)
	if err != nil {
		return err
	}
	for _, s := range serials {
		if _, err := insert.Exec(s[0], token.SerialPublicID(token.Serial(s[1])).String()); err != nil {
			return err
		}
	}
	return nil
}

// TestCapitalsOfOtherAlphabets: a name is found as it was written, whatever language the database sorts and folds in.
func TestCapitalsOfOtherAlphabets(t *testing.T) {
	onEach(t, func(t *testing.T, open func(testing.TB) harness) {
		h := open(t)
		c := storetest.Sample(1, token.Active)
		h.Add(t, c)
		addPerson(t, h.s, "ada")
		execute(t, h.s, `UPDATE token SET holder = (SELECT max(id) FROM person)`)
		for _, name := range []string{"Özil", "ÅSA ÅBERG", "Иванова", "İpek"} {
			execute(t, h.s, `UPDATE person SET name = '`+name+`'`)
			for _, text := range []string{name, strings.ReplaceAll(name, "z", "Z")} {
				if list, err := h.s.Tokens(t.Context(), desk.Match{Text: text}); err != nil || len(list) != 1 {
					t.Errorf("%s: %v, %v", text, list, err)
				}
			}
		}
	})
}
