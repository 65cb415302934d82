package storetest

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// testSetNames: a token is found by its new names at once, and no more by the former; a name is one token's of its holder.
func testSetNames(t *testing.T, s *lifeSuite) {
	one, _ := s.app(t, "anna")
	two, _ := s.app(t, "anna")
	set := func(query string, number, name *string) error {
		_, err := s.here.SetNames(t.Context(), query, desk.Naming{StockNumber: number, Name: name})
		return err
	}
	found := func(text string, want int) {
		t.Helper()
		hits, err := s.there.Search(t.Context(), text, 10)
		if s.a.must(t, err); len(hits) != want {
			t.Errorf("%q: %d hits, want %d", text, len(hits), want)
		}
	}
	s.a.must(t, set(one, new("R-0017"), new("Red phone")))
	if k, _, err := s.there.Show(t.Context(), "R-0017"); err != nil || k.Label != one || k.StockNumber != "R-0017" || k.Name != "Red phone" {
		t.Fatalf("%+v, %v", k, err)
	}
	found("r-0017", 1)
	found("red", 1)
	s.a.must(t, set(one, new("R-0018"), nil))
	found("r-0017", 0)
	found("r-0018 red", 1)
	if err := set(two, new("R-0019"), new("red PHONE")); !isText(err) {
		t.Errorf("a name that is taken: %v", err)
	}
	found("r-0019", 0)
	if err := set(two, new("R-0018"), nil); !isText(err) {
		t.Errorf("a stock number that is taken: %v", err)
	}
	found("r-0018", 1)
	s.a.must(t, set(two, new("R-0019"), new("")))
	found("r-0019", 1)
	events := func() int {
		list, err := s.here.History(t.Context(), one, 100)
		s.a.must(t, err)
		return len(list)
	}
	before := events()
	s.a.must(t, set(one, new("R-0018"), new("Red phone")))
	if n := events(); n != before {
		t.Errorf("%d events for what is so already", n-before)
	}
	s.a.must(t, set(one, new(""), new("")))
	found("red", 0)
	for _, bad := range []string{" x", "a\tb", "\xff"} {
		if err := set(one, &bad, nil); !isText(err) {
			t.Errorf("stock number %q: %v", bad, err)
		}
		if err := set(one, nil, &bad); !isText(err) {
			t.Errorf("name %q: %v", bad, err)
		}
	}
	if err := set("none", new("x"), nil); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("no such token: %v", err)
	}
	list, err := s.here.History(t.Context(), one, 1)
	if s.a.must(t, err); list[0].Action != "token.set" || list[0].Actor == "" {
		t.Errorf("%+v", list)
	}
}
