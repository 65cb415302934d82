package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

func (s deskSuite) export(t *testing.T, queries ...string) (serials []token.Serial) {
	t.Helper()
	n, records, err := s.d.Export(t.Context(), desk.Export{Format: "test", Target: "t", File: "f"}, queries...)
	s.must(t, err)
	for r, err := range records {
		s.must(t, err)
		if r.Kind == token.YubicoOTP && (r.Key.Len() != 16 || r.PrivateID.Len() != 6) || r.AccessCode.Len() != 0 {
			t.Errorf("record of %d: %d, %d, %d bytes", r.Serial, r.Key.Len(), r.PrivateID.Len(), r.AccessCode.Len())
		}
		serials = append(serials, r.Serial)
		r.Destroy()
	}
	if n != len(serials) {
		t.Errorf("announced %d, got %d", n, len(serials))
	}
	return serials
}

func testExport(t *testing.T, s deskSuite) {
	for n := 1; n <= 4; n++ {
		s.key(t, n)
	}
	_, _, _, err := s.d.Block(t.Context(), "102", desk.Block{Reason: token.ReasonLost})
	s.must(t, err)
	s.reach(t, reservation(103), token.Writing, 33) // uncertain
	unproven := reservation(105)
	unproven.Proof = token.NoProof
	e := s.reach(t, unproven, token.Written, 5)
	s.must(t, s.Commit(t.Context(), e.ID, nil))
	s.reach(t, reservation(106), token.Sealed, 6) // never written
	s.issue(t, reservation(104), 44)              // replaced
	if got := s.export(t); !slices.Equal(got, []token.Serial{101, 104}) {
		t.Errorf("default set: %v", got)
	}
	if got := s.export(t, "102", "103", "105", "106", "102"); !slices.Equal(got, []token.Serial{102, 103, 105}) {
		t.Errorf("by name: %v", got)
	}
	s.personsTogether(t)
	if _, _, err := s.d.Export(t.Context(), desk.Export{}, "101", "4711"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("unknown name: %v", err)
	}
}

// personsTogether: whatever the order of keys and queries, those of one person follow one another, and those of nobody.
func (s deskSuite) personsTogether(t *testing.T) {
	t.Helper()
	holders := []string{"", "ada", "bob", "", "ada", "bob"}
	var queries []string
	for i, account := range holders {
		r := reservation(token.Serial(201 + i))
		if account != "" {
			_ = s.d.AddPerson(t.Context(), token.Person{Account: account}) // the second time it is there already
			p, err := s.Person(t.Context(), account)
			s.must(t, err)
			r.Holder = p.ID
		}
		s.issue(t, r, 100+i)
		queries = append(queries, fmt.Sprint(201+i))
	}
	want := []token.Serial{201, 204, 202, 205, 203, 206}
	if got := s.export(t, queries...); !slices.Equal(got, want) {
		t.Errorf("by name: %v, want %v", got, want)
	}
	if got := s.export(t); !slices.Equal(got, append([]token.Serial{101, 104}, want...)) {
		t.Errorf("default set: %v", got)
	}
}
