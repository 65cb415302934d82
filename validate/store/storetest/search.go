package storetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// RunSearch runs the suite of desk.Searcher; open gives an empty store each time, twice, as two processes open it.
func RunSearch(t *testing.T, open func(t *testing.T) (one, another Full)) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s searchSuite)
	}{
		{"words", testSearchWords},
		{"relevance", testSearchRelevance},
		{"bounds", testSearchBounds},
		{"spelling", testSearchSpelling},
		{"refusals", testSearchRefusals},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			one, another := open(t)
			s := searchSuite{deskSuite{ledgerSuite{one}, &desk.Desk{Store: one, Now: func() time.Time { return at(0) }, Rand: rand.Reader}}, nil}
			s.other = &desk.Desk{Store: another, Now: s.d.Now, Rand: rand.Reader}
			tc.run(t, s)
		})
	}
}

// searchSuite writes through one process and searches through the other.
type searchSuite struct {
	deskSuite
	other *desk.Desk
}

// people registers persons "account, name, mail" and returns them by account.
func (s searchSuite) people(t *testing.T, rows ...string) map[string]token.Person {
	t.Helper()
	out := map[string]token.Person{}
	for _, row := range rows {
		f := append(strings.Split(row, ", "), "", "")
		s.must(t, s.d.AddPerson(t.Context(), token.Person{Account: f[0], Name: f[1], Mail: f[2]}))
		p, err := s.Person(t.Context(), f[0])
		s.must(t, err)
		out[f[0]] = p
	}
	return out
}

// app adds a token of somebody in a state.
func (s searchSuite) app(t *testing.T, label string, state token.State, holder *token.Person) {
	t.Helper()
	_, err := s.AddToken(t.Context(), token.Token{Model: token.App, Label: label, State: state, Holder: holder},
		token.Credential{Kind: token.TOTP, State: state, Secrets: token.Secrets{Key: secret.Copy([]byte(label + " 0123456789abcdef"))}})
	s.must(t, err)
}

// find searches and writes each hit as "account:serial or label".
func (s searchSuite) find(t *testing.T, query string, most int) []string {
	t.Helper()
	hits, err := s.other.Search(t.Context(), query, most)
	if err != nil {
		t.Errorf("%q: %v", query, err)
	}
	out := []string{}
	for _, h := range hits {
		text := ":"
		if h.Person != nil {
			text = h.Person.Account + ":"
		}
		if h.Token != nil {
			text += h.Token.Serial.String() + h.Token.Label
			if (h.Token.Holder == nil) != (h.Person == nil) {
				t.Errorf("%q: the hit's person is not the holder: %+v", query, h)
			}
		}
		if h.Why == "" {
			t.Errorf("%q: %s fits by nothing", query, text)
		}
		out = append(out, text)
	}
	return out
}

func testSearchWords(t *testing.T, s searchSuite) {
	who := s.people(t, "anna, Anna Adler, anna.adler@example.org", "bert, Bert Annaberg", "4711x, Carl von Ada")
	r := reservation(7654321)
	r.Holder = who["anna"].ID
	s.issue(t, r, 1)
	r = reservation(7654999)
	s.issue(t, r, 2)
	s.app(t, "TOTP0a1b2c3d", token.Active, new(who["bert"]))
	s.app(t, "4711-0032", token.InStock, nil)
	id := token.SerialPublicID(7654321)
	otp := Credential{PublicID: id, Key: Sample(1, "").Key, PrivateID: Sample(1, "").PrivateID}.Press(t, yubiotp.Token{UseCounter: 3})
	for _, tc := range []struct {
		query string
		want  []string
		why   desk.Why
	}{
		{"anna", []string{"anna:7654321", "bert:TOTP0a1b2c3d"}, desk.ByAccount},
		{"ANN", []string{"anna:7654321", "bert:TOTP0a1b2c3d"}, desk.ByAccount},
		{"adler anna", []string{"anna:7654321"}, desk.ByName},
		{" ad  an ", []string{"anna:7654321"}, desk.ByName},
		{"anna, adler;", []string{"anna:7654321"}, desk.ByAccount},
		{"anna bert", []string{"bert:TOTP0a1b2c3d"}, desk.ByName},
		{"anna carl", []string{}, ""},
		{"anna.adler@ex", []string{"anna:7654321"}, desk.ByMail},
		{"Anna.Adler@Example.ORG", []string{"anna:7654321"}, desk.ByMail},
		{"example.org", []string{}, ""},
		{"ada", []string{"4711x:"}, desk.ByName},
		{"4711", []string{":4711-0032", "4711x:"}, desk.ByLabel},
		{"47110032", []string{":4711-0032"}, desk.ByLabel},
		{"0032", []string{":4711-0032"}, desk.ByLabel},
		{"7654321", []string{"anna:7654321"}, desk.BySerial},
		{"7654", []string{"anna:7654321", ":7654999"}, desk.BySerial},
		{"7654 adler", []string{"anna:7654321"}, desk.BySerial},
		{"totp0A1B", []string{"bert:TOTP0a1b2c3d"}, desk.ByLabel},
		{id.String(), []string{"anna:7654321"}, desk.ByPublicID},
		{strings.ToUpper(id.String()), []string{"anna:7654321"}, desk.ByPublicID},
		{id.String()[:4], []string{"anna:7654321", ":7654999"}, desk.ByPublicID},
		{id.String()[:5] + " anna", []string{"anna:7654321"}, desk.ByPublicID},
		{id.String()[:3], []string{}, ""},
		{otp, []string{"anna:7654321"}, desk.ByOTP},
		{" " + strings.ToUpper(otp) + "\n", []string{"anna:7654321"}, desk.ByOTP},
		{dvorak(otp), []string{"anna:7654321"}, desk.ByOTP},
		{"", []string{}, ""}, {" - ", []string{}, ""}, {"%", []string{}, ""}, {"nobody", []string{}, ""}, {"an%", []string{"anna:7654321", "bert:TOTP0a1b2c3d"}, desk.ByAccount},
	} {
		if got := s.find(t, tc.query, 50); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.query, got, tc.want)
		}
		if hits, err := s.d.Search(t.Context(), tc.query, 50); err != nil || len(hits) > 0 && hits[0].Why != tc.why {
			t.Errorf("%q: by %q, want %q, %v", tc.query, hits[0].Why, tc.why, err)
		}
	}
}

// testSearchRelevance: whole words before beginnings, what lives before what is revoked, also where more fit than are asked for.
func testSearchRelevance(t *testing.T, s searchSuite) {
	who := s.people(t, "zoe, Ann Zett", "annika, Annika Ast", "yve, Yve Annand")
	s.app(t, "A1", token.Revoked, new(who["zoe"]))
	s.app(t, "A2", token.Lost, new(who["zoe"]))
	s.app(t, "A3", token.Revoked, new(who["annika"]))
	s.app(t, "A4", token.Active, new(who["annika"]))
	want := []string{"zoe:A2", "zoe:A1", "annika:A4", "yve:", "annika:A3"}
	for most := range len(want) + 1 {
		if got := s.find(t, "ann", most); !slices.Equal(got, want[:most]) {
			t.Errorf("%d at most: %q, want %q", most, got, want[:most])
		}
	}
	if got := s.find(t, "a z", 9); !slices.Equal(got, []string{"zoe:A2", "zoe:A1"}) {
		t.Errorf("two words: %q", got)
	}
}

func testSearchBounds(t *testing.T, s searchSuite) {
	var list []token.Person
	for n := range 3000 {
		list = append(list, token.Person{Account: fmt.Sprintf("user%04d", n), Name: fmt.Sprintf("Max Muster%d", n%7), Mail: fmt.Sprintf("user%04d@example.org", n)})
	}
	_, err := s.AddPersons(t.Context(), list)
	s.must(t, err)
	for query, want := range map[string]int{"max": 20, "m": 20, "u": 20, "max muster": 20, "user0007": 1, "max user0007": 1, "muster3 user000": 1, "max user000 muster": 10, "muster5 user0004": 0} {
		if got := s.find(t, query, 20); len(got) != want {
			t.Errorf("%q: %d hits, want %d", query, len(got), want)
		}
	}
}

// testSearchSpelling: each row is spellings of one name; whoever is kept by one of them is found by all, unless the row says "not".
func testSearchSpelling(t *testing.T, s searchSuite) {
	for i, tc := range []struct{ kept, queries, not []string }{
		{kept: []string{"Müller", "Mu\u0308ller", "MÜLLER", "Mueller"}, queries: []string{"müller", "mueller", "muller", "MÜLL", "mu\u0308ller", "mue", "mü"}, not: []string{"meller"}},
		{kept: []string{"Strauß", "STRAUSS"}, queries: []string{"strauß", "strauss", "straus"}},
		{kept: []string{"Bäcker-Öztürk"}, queries: []string{"bäcker", "baecker", "backer", "öztürk", "oeztuerk", "ozturk", "bäcker-öz", "bäckeröztürk", "oezt baecker"}},
		{kept: []string{"Bauer"}, queries: []string{"bauer", "baue"}},
		{kept: []string{"José Nuñez", "JOSE NUNEZ"}, queries: []string{"jose nunez", "josé", "NUÑEZ"}},
		{kept: []string{"Søren Ærø"}, queries: []string{"søren", "soren", "soeren", "aero", "ærø"}},
		{kept: []string{"O'Brien", "O’Brien"}, queries: []string{"o'brien", "obrien", "brien"}},
		{kept: []string{"İpek Yıldız"}, queries: []string{"ipek", "yildiz", "İPEK"}},
		{kept: []string{"Łukasz"}, queries: []string{"lukasz", "łuk"}},
		{kept: []string{"Иван Петров"}, queries: []string{"иван", "ПЕТР"}},
		{kept: []string{"王小明"}, queries: []string{"王", "王小明"}},
		{kept: []string{"ＡＢＣ１２３"}, queries: []string{"abc123", "ａｂｃ"}},
	} {
		for j, name := range tc.kept {
			account := fmt.Sprintf("x%d.%d", i, j)
			s.people(t, account+", "+name)
			for _, q := range tc.queries {
				if got := s.find(t, q, 100); !slices.Contains(got, account+":") {
					t.Errorf("%q does not find %q", q, name)
				}
			}
			for _, q := range tc.not {
				if got := s.find(t, q, 100); slices.Contains(got, account+":") {
					t.Errorf("%q finds %q", q, name)
				}
			}
		}
	}
}

// testSearchRefusals: no error repeats the query.
func testSearchRefusals(t *testing.T, s searchSuite) {
	for _, query := range []string{strings.Repeat("geheim ", 20), strings.Repeat("geheim", 200), "geheim\xff"} {
		var text *desk.TextError
		hits, err := s.d.Search(t.Context(), query, 5)
		if !errors.As(err, &text) || strings.Contains(err.Error(), "geheim") || len(hits) != 0 {
			t.Errorf("%.20q: %v", query, err)
		}
	}
	if hits, err := s.d.Search(t.Context(), "a\x00b", 5); err != nil || len(hits) != 0 {
		t.Errorf("%v, %v", hits, err)
	}
}
