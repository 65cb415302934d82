package storetest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// RunDesk runs the suite of what staff do, through package desk; open gives an empty store each time.
func RunDesk(t *testing.T, open func(t *testing.T) Full) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s deskSuite)
	}{
		{"persons", testPersons},
		{"clients", testDeskClients},
		{"find", testDeskFind},
		{"block", testDeskBlock},
		{"restore", testRestore},
		{"restore race", testRestoreRace},
		{"export", testExport},
		{"import", testImport},
		{"import a key twice", testImportTwice},
		{"import OATH", testImportOATH},
		{"import OATH twice", testImportOATHTwice},
		{"overwrite an import", testOverwriteImport},
		{"take over", testTakeOver},
		{"take over again", testTakeOverAgain},
		{"take over clients", testTakeOverClients},
		{"apps", testApps},
		{"app refusals", testAppRefusals},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			tc.run(t, deskSuite{ledgerSuite{s}, &desk.Desk{Store: s, Now: func() time.Time { return at(0) }, Rand: rand.Reader}})
		})
	}
}

type deskSuite struct {
	ledgerSuite
	d *desk.Desk
}

// key issues a key with the secrets of n and the serial 100+n.
func (s deskSuite) key(t *testing.T, n int) token.PublicID {
	t.Helper()
	r := reservation(token.Serial(100 + n))
	s.issue(t, r, n)
	return r.PublicID
}

// otp is what the key of n types.
func otp(t *testing.T, n int, use, session int) string {
	t.Helper()
	c := Sample(n, "")
	c.PublicID = token.SerialPublicID(token.Serial(100 + n))
	return c.Press(t, yubiotp.Token{UseCounter: uint16(use), SessionCounter: uint8(session)})
}

func testPersons(t *testing.T, s deskSuite) {
	s.must(t, s.d.AddPerson(t.Context(), token.Person{Account: "anna", Name: "Anna Adler", Mail: "anna@example.org"}))
	if err := s.d.AddPerson(t.Context(), token.Person{Account: "anna"}); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("again: %v", err)
	}
	s.must(t, s.d.AddPerson(t.Context(), token.Person{Account: "Anna"})) // case counts
	var text *desk.TextError
	for _, account := range []string{"", "a,b", "a\nb", " a", "a\x00", "\xff", strings.Repeat("a", 1001)} {
		if err := s.d.AddPerson(t.Context(), token.Person{Account: account}); !errors.As(err, &text) || text.Field != "account" {
			t.Errorf("account %q: %v", account, err)
		}
	}
	var file strings.Builder
	file.WriteString("\xef\xbb\xbfname,Account,mail\n")
	for n := range 250 {
		file.WriteString("Name,user" + token.Serial(n+1).String() + ",m\n")
	}
	file.WriteString("Bert,anna,\nx,\"bad\tone\",\n")
	var added, known, bad int
	s.must(t, s.d.ImportPersons(t.Context(), strings.NewReader(file.String()), func(r desk.PersonRow) {
		switch {
		case r.Err != nil:
			bad++
		case r.Added:
			added++
		default:
			known++
		}
	}))
	if added != 250 || known != 1 || bad != 1 {
		t.Errorf("added %d, known %d, bad %d", added, known, bad)
	}
	list, err := s.d.Persons(t.Context())
	if err != nil || len(list) != 252 || list[0].Account != "Anna" {
		t.Errorf("%d persons, %v", len(list), err)
	}
	if p, err := s.Person(t.Context(), "anna"); err != nil || p.Name != "Anna Adler" {
		t.Errorf("overwritten: %+v, %v", p, err)
	}
}

func testDeskClients(t *testing.T, s deskSuite) {
	c, err := s.d.AddClient(t.Context(), "portal", desk.ClientRights{MustSig: true})
	if err != nil || len(c.Keys) != 1 || c.Keys[0].Len() != 20 || c.Keys[0].IsZero() || c.ID < 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := s.d.AddClient(t.Context(), "portal", desk.ClientRights{}); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("again: %v", err)
	}
	list, err := s.d.Clients(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "portal" || !list[0].MustSig || !list[0].Active || len(list[0].Keys) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func testDeskFind(t *testing.T, s deskSuite) {
	_, err := s.AddPersons(t.Context(), []token.Person{{Account: "anna", Name: "Anna Adler"}, {Account: "101", Name: "Bert"}})
	s.must(t, err)
	anna, err := s.Person(t.Context(), "anna")
	s.must(t, err)
	for n := 1; n <= 4; n++ {
		r := reservation(token.Serial(100 + n))
		if n >= 3 {
			r.Holder = anna.ID
		}
		s.issue(t, r, n)
	}
	number, err := s.Person(t.Context(), "101")
	s.must(t, err)
	r := reservation(200)
	r.Holder = number.ID
	s.issue(t, r, 9)
	for query, want := range map[string][]token.Serial{
		"102": {102}, " 102 ": {102}, token.SerialPublicID(102).String(): {102}, strings.ToUpper(token.SerialPublicID(102).String()): {102},
		otp(t, 2, 7, 7): {102}, "anna": {103, 104}, "anna adler": {103, 104}, "Anna Adler": {103, 104}, "ANNA": nil, "101": {101, 200}, "bert": {200},
		"": nil, "4711": nil, "nobody": nil, otp(t, 44, 1, 1): nil, "99999999999999999999": nil, "cccccccccccc": nil, "%": nil,
	} {
		k, err := s.d.Find(t.Context(), query)
		var several *desk.AmbiguousError
		switch {
		case len(want) == 0 && !errors.Is(err, token.ErrNotFound), len(want) == 1 && (err != nil || k.Serial != want[0]):
			t.Errorf("%q: serial %d, %v", query, k.Serial, err)
		case len(want) > 1:
			if !errors.As(err, &several) || !slices.EqualFunc(several.Tokens, want, func(k token.Token, s token.Serial) bool { return k.Serial == s }) {
				t.Errorf("%q: %v", query, err)
			}
		}
		if err != nil && query != "" && strings.Contains(err.Error(), query) && len(query) > 32 {
			t.Errorf("the error shows the OTP: %v", err)
		}
	}
	if all, err := s.d.Tokens(t.Context()); err != nil || len(all) != 5 {
		t.Errorf("%d tokens, %v", len(all), err)
	}
	if _, list, err := s.d.Show(t.Context(), "102"); err != nil || len(list) != 1 || list[0].Secrets.Key.Len() != 0 {
		t.Errorf("show: %+v, %v", list, err)
	}
	s.testFindFormer(t)
}

// testFindFormer: the person of testDeskFind has two tokens, which are retired one after the other.
func (s deskSuite) testFindFormer(t *testing.T) {
	t.Helper()
	if _, err := s.d.Retire(t.Context(), "103", "shredded"); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]token.Serial{"anna": 104, "Anna Adler": 104, "103": 103} {
		if k, err := s.d.Find(t.Context(), query); err != nil || k.Serial != want {
			t.Errorf("%q, one retired: serial %d, %v", query, k.Serial, err)
		}
	}
	if _, err := s.d.Retire(t.Context(), "104", "shredded"); err != nil {
		t.Fatal(err)
	}
	var several *desk.AmbiguousError
	if _, err := s.d.Find(t.Context(), "anna"); !errors.As(err, &several) {
		t.Errorf("all retired: %v", err)
	}
}

func testDeskBlock(t *testing.T, s deskSuite) {
	id := s.key(t, 1)
	block := func(r token.Reason) error {
		_, _, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: r, Note: "called at the desk"})
		return err
	}
	is := func(state token.State, r token.Reason) {
		t.Helper()
		if k, err := s.d.Find(t.Context(), "101"); err != nil || k.State != state || k.Reason != r || k.BlockedAt.IsZero() {
			t.Errorf("%+v, %v, want %s (%s)", k, err, state, r)
		}
	}
	s.must(t, block(token.ReasonForgotten))
	if s.press(t, id, 5, 0) {
		t.Error("accepted after the block")
	}
	s.must(t, block(token.ReasonForgotten)) // the same again
	s.must(t, block(token.ReasonLeft))      // as hard: replaces the reason
	is(token.Suspended, token.ReasonLeft)
	s.must(t, block(token.ReasonLost)) // harder
	is(token.Lost, token.ReasonLost)
	s.must(t, block(token.ReasonStolen))
	is(token.Lost, token.ReasonStolen)
	s.must(t, block(token.ReasonForgotten)) // softer: only told
	is(token.Lost, token.ReasonStolen)
	was, now, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonStolen})
	if err != nil || was.State != token.Lost || now.State != token.Lost {
		t.Errorf("stolen again: %+v, %+v, %v", was, now, err)
	}
	if err := block("bored"); !errors.Is(err, desk.ErrReason) {
		t.Errorf("no reason: %v", err)
	}
	if _, _, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonLost, Note: "two\nlines"}); err == nil {
		t.Error("a note of two lines was taken")
	}
	if _, _, _, err := s.d.Block(t.Context(), "4711", desk.Block{Reason: token.ReasonLost}); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("nobody's token: %v", err)
	}
}

func testRestore(t *testing.T, s deskSuite) {
	id := s.key(t, 1)
	s.key(t, 2)
	if _, _, err := s.d.Restore(t.Context(), "101", []string{otp(t, 1, 2, 0)}); !isTransition(err) {
		t.Errorf("not blocked: %v", err)
	}
	_, _, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonLost})
	s.must(t, err)
	c, err := s.Find(t.Context(), id)
	s.must(t, err)
	s.must(t, s.Spend(t.Context(), validate.Advance{Credential: c.ID, Use: 5, Session: 0, At: at(1), Event: validate.Event{PublicID: id}})) // pressed by a finder
	stranger := Sample(3, "")
	stranger.PublicID = id
	for name, tc := range map[string]struct {
		otp  string
		want desk.Proof
	}{
		"nothing": {"", desk.NoCode}, "text": {"restore please", desk.NoCode}, "other token": {otp(t, 2, 9, 9), desk.OtherToken},
		"unknown": {otp(t, 77, 9, 9), desk.OtherToken}, "of before": {otp(t, 1, 1, 0), desk.NotNewer}, "seen while blocked": {otp(t, 1, 5, 0), desk.NotNewer},
		"older than seen": {otp(t, 1, 4, 255), desk.NotNewer}, "another key": {stranger.Press(t, yubiotp.Token{UseCounter: 9}), desk.WrongCode},
	} {
		k, got, err := s.d.Restore(t.Context(), "101", []string{tc.otp})
		if err != nil || got != tc.want || k.State != token.Lost {
			t.Errorf("%s: %s, %s, %v; want %s", name, got, k.State, err, tc.want)
		}
	}
	k, got, err := s.d.Restore(t.Context(), "101", []string{" " + otp(t, 1, 5, 1) + "\n"})
	if err != nil || got != desk.Proven || k.State != token.Active || k.Reason != "" || !k.BlockedAt.IsZero() {
		t.Fatalf("%s, %+v, %v", got, k, err)
	}
	if s.press(t, id, 5, 1) {
		t.Error("the OTP that restored was accepted again")
	}
	if !s.press(t, id, 5, 2) {
		t.Error("the next OTP was refused")
	}
	_, _, _, err = s.d.Block(t.Context(), dvorak(otp(t, 1, 5, 3)), desk.Block{Reason: token.ReasonForgotten})
	s.must(t, err)
	if k, got, err := s.d.Restore(t.Context(), "101", []string{dvorak(otp(t, 1, 5, 4))}); err != nil || got != desk.Proven || k.State != token.Active {
		t.Errorf("on a Dvorak layout: %s, %s, %v", got, k.State, err)
	}
}

// dvorak is what an OTP becomes on a host with that layout. Source: reference validation-protocol.md §2.
func dvorak(otp string) string {
	const qwerty, there = "cbdefghijklnrtuv", "jxe.uidchtnbpygk"
	return strings.Map(func(r rune) rune { return rune(there[strings.IndexRune(qwerty, r)]) }, otp)
}

func isTransition(err error) bool {
	var e *token.TransitionError
	return errors.As(err, &e)
}

// testRestoreRace: of the same OTP at 16 desks, one restores; the others see a token that is not blocked or an old OTP.
func testRestoreRace(t *testing.T, s deskSuite) {
	s.key(t, 1)
	_, _, _, err := s.d.Block(t.Context(), "101", desk.Block{Reason: token.ReasonForgotten})
	s.must(t, err)
	fresh := otp(t, 1, 2, 0)
	got := together(t, 16, func(int) (bool, error) {
		_, outcome, err := s.d.Restore(t.Context(), "101", []string{fresh})
		if isTransition(err) {
			return false, nil
		}
		return outcome == desk.Proven, err
	})
	if got != 1 {
		t.Errorf("%d restored", got)
	}
}

func yubico(n int, serial token.Serial) keyfile.Record {
	c := Sample(n, "")
	return keyfile.Record{Line: n, Kind: token.YubicoOTP, Serial: serial, Slot: 1, PublicID: c.PublicID, Key: secret.Copy(c.Key[:]), PrivateID: secret.Copy(c.PrivateID[:]), AccessCode: secret.Copy(c.Key[:6])}
}

// feed gives records as a codec does.
func feed(list ...any) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		for _, v := range list {
			r, _ := v.(keyfile.Record)
			err, _ := v.(error)
			if !yield(r, err) {
				return
			}
		}
	}
}

// cloned copies the records' secrets, which a batch destroys.
func cloned(list []any) []any {
	out := slices.Clone(list)
	for i, v := range out {
		if r, ok := v.(keyfile.Record); ok {
			r.Key, r.PrivateID, r.AccessCode = r.Key.Clone(), r.PrivateID.Clone(), r.AccessCode.Clone()
			out[i] = r
		}
	}
	return out
}

// imported imports, after a preview that must foresee the same.
func (s deskSuite) imported(t *testing.T, list ...any) (out []desk.Outcome) {
	t.Helper()
	var foreseen []desk.Outcome
	s.must(t, s.d.Preview(t.Context(), feed(cloned(list)...), func(i desk.Imported) { foreseen = append(foreseen, i.Outcome) }))
	err := s.d.Import(t.Context(), "box.csv", feed(cloned(list)...), func(i desk.Imported) { out = append(out, i.Outcome) })
	s.must(t, err)
	if !slices.Equal(foreseen, out) {
		t.Errorf("the preview said %v, the import did %v", foreseen, out)
	}
	return out
}

func testImport(t *testing.T, s deskSuite) {
	other, noID, short, otherSlot := yubico(1, 501), yubico(5, 505), yubico(6, 506), yubico(7, 501)
	other.Key = secret.Copy(bytes.Repeat([]byte{9}, 16))
	noID.PrivateID, short.Key = secret.Bytes{}, secret.Copy([]byte{1})
	otherSlot.Slot = 2
	got := s.imported(t, yubico(1, 501), &keyfile.RowError{Format: "x", Line: 2, Field: "key", Cause: "c"}, yubico(2, 0), yubico(1, 501), other, noID, short, yubico(8, 501), otherSlot)
	want := []desk.Outcome{desk.New, desk.Bad, desk.New, desk.Known, desk.Different, desk.Bad, desk.Bad, desk.Different, desk.New}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	c, err := s.Find(t.Context(), Sample(1, "").PublicID)
	if err != nil || c.Row.State != token.Programmed || !c.Row.Enabled {
		t.Fatalf("%+v, %v", c.Row, err)
	}
	if got := s.export(t); len(got) != 0 {
		t.Errorf("exported before the proof: %v", got)
	}
	if !s.press(t, c.PublicID, 1, 0) {
		t.Error("the first good OTP was refused")
	}
	if got := s.imported(t, yubico(1, 501)); !slices.Equal(got, []desk.Outcome{desk.Known}) || s.press(t, c.PublicID, 1, 0) {
		t.Errorf("a second import gave the OTP back: %v", got)
	}
	r := reservation(501) // replaces slot 1
	s.issue(t, r, 50)
	if got := s.imported(t, yubico(1, 501), yubico(1, 0)); !slices.Equal(got, []desk.Outcome{desk.Different, desk.Different}) {
		t.Errorf("a revoked key came back: %v", got)
	}
	_, list, err := s.Slots(t.Context(), 501)
	if err != nil || len(list) != 2 || list[1].Secrets.AccessCode.Len() != 6 || !list[1].Settings.HasAccessCode {
		t.Errorf("%+v, %v", list, err)
	}
	boom := errors.New("boom")
	var seen []desk.Imported
	err = s.d.Import(t.Context(), "f", feed(yubico(20, 0), boom, yubico(21, 0)), func(i desk.Imported) { seen = append(seen, i) })
	if !errors.Is(err, boom) || len(seen) != 1 || seen[0].Outcome != desk.New {
		t.Errorf("%v, %v", seen, err)
	}
}

// testImportTwice: one secret under two public IDs would let each of its OTPs count twice, with the other's public ID in front.
func testImportTwice(t *testing.T, s deskSuite) {
	as := func(n int, public string) keyfile.Record {
		r := yubico(n, 0)
		var err error
		r.PublicID, err = token.ParsePublicID(public)
		s.must(t, err)
		return r
	}
	got := s.imported(t, as(1, "cccccccccccb"), as(1, "cccccccccccd"), as(2, "cccccccccccd"))
	if want := []desk.Outcome{desk.New, desk.Different, desk.New}; !slices.Equal(got, want) {
		t.Errorf("in one file: %v, want %v", got, want)
	}
	s.issue(t, reservation(501), 50)
	s.issue(t, reservation(501), 51) // revokes 50
	got = s.imported(t, as(1, "ccccccccccce"), as(50, "cccccccccccf"), as(51, "cccccccccccg"), as(3, "ccccccccccch"))
	if want := []desk.Outcome{desk.Different, desk.Different, desk.Different, desk.New}; !slices.Equal(got, want) {
		t.Errorf("in another file: %v, want %v", got, want)
	}
}

func testImportOATH(t *testing.T, s deskSuite) {
	_, err := s.AddPersons(t.Context(), []token.Person{{Account: "anna"}})
	s.must(t, err)
	key := func(b byte) secret.Bytes { return secret.Copy(bytes.Repeat([]byte{b}, 20)) }
	hotp := keyfile.Record{Kind: token.HOTP, Label: "OATH0001", Key: key(1), Counter: 12, Owner: "anna"}
	totp := keyfile.Record{Kind: token.TOTP, Label: "OATH0002", Key: key(2), Owner: "nobody", Digits: 8, Hash: "sha256"}
	changed, badDigits := hotp, totp
	changed.Key, badDigits.Digits, badDigits.Label = key(3), 9, "OATH0003"
	var notes []string
	var got []desk.Outcome
	err = s.d.Import(t.Context(), "f", feed(hotp, totp, badDigits), func(i desk.Imported) { got, notes = append(got, i.Outcome), append(notes, i.Note) })
	if err != nil || !slices.Equal(got, []desk.Outcome{desk.New, desk.New, desk.Bad}) || notes[0] != "" || notes[1] == "" {
		t.Fatalf("%v, %v, %v", got, notes, err)
	}
	hotp.Key = key(1) // the first was destroyed with its batch
	if got := s.imported(t, hotp, changed); !slices.Equal(got, []desk.Outcome{desk.Known, desk.Different}) {
		t.Errorf("again: %v", got)
	}
	k, list, err := s.d.Show(t.Context(), "anna")
	if err != nil || k.State != token.InStock || k.Model != token.Hardware || k.Label != "OATH0001" || len(list) != 1 || list[0].Counters.Moving != 11 || list[0].Settings.Digits != 6 || list[0].Enabled {
		t.Errorf("%+v %+v %v", k, list, err)
	}
	_, records, err := s.d.Export(t.Context(), desk.Export{}, "OATH0001")
	s.must(t, err)
	for r, err := range records {
		if err != nil || r.Counter != 12 || r.Owner != "anna" || r.Hash != "sha1" || !r.Key.Equal(key(1)) {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if got := s.export(t); len(got) != 0 {
		t.Errorf("stock was exported: %v", got)
	}
}

// testImportOATHTwice: a seed is found again under any name, and without one.
func testImportOATHTwice(t *testing.T, s deskSuite) {
	seed := func(b byte, label string) keyfile.Record {
		return keyfile.Record{Kind: token.TOTP, Label: label, Key: secret.Copy(bytes.Repeat([]byte{b}, 20))}
	}
	got := s.imported(t, seed(1, ""), seed(1, ""), seed(2, "A"), seed(2, "B"), seed(2, ""), seed(1, "C"))
	if want := []desk.Outcome{desk.New, desk.Known, desk.New, desk.Different, desk.Known, desk.Different}; !slices.Equal(got, want) {
		t.Errorf("in one file: %v, want %v", got, want)
	}
	got = s.imported(t, seed(1, ""), seed(2, "A"), seed(2, ""), seed(2, "D"), seed(3, ""))
	if want := []desk.Outcome{desk.Known, desk.Known, desk.Known, desk.Different, desk.New}; !slices.Equal(got, want) {
		t.Errorf("in another file: %v, want %v", got, want)
	}
	padded := seed(2, "E") // makes the same codes
	padded.Key = secret.Copy(append(bytes.Repeat([]byte{2}, 20), 0, 0, 0, 0))
	if got := s.imported(t, padded); !slices.Equal(got, []desk.Outcome{desk.Different}) {
		t.Errorf("with zeros at the end: %v", got)
	}
}

// testOverwriteImport writes a key anew that came in a file which does not tell slots.
func testOverwriteImport(t *testing.T, s deskSuite) {
	in := yubico(1, 501)
	in.Slot, in.PublicID = 0, token.SerialPublicID(501)
	if got := s.imported(t, in); !slices.Equal(got, []desk.Outcome{desk.New}) {
		t.Fatal(got)
	}
	if !s.press(t, in.PublicID, 1, 0) {
		t.Error("refused before")
	}
	e := s.reach(t, reservation(501), token.Writing, 2)
	if e.Former == nil || s.press(t, in.PublicID, 2, 0) {
		t.Errorf("the former one is %+v and must not validate", e.Former)
	}
	s.must(t, s.Commit(t.Context(), e.ID, counters(1, 0)))
	if c, err := s.Find(t.Context(), in.PublicID); err != nil || c.ID != e.Credential.ID {
		t.Errorf("found %d, %v", c.ID, err)
	}
}
