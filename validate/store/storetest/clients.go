package storetest

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// client is the client as both processes see it, which must be the same.
func (s *staffSuite) client(t *testing.T, id int64) validate.Client {
	t.Helper()
	var both [2]validate.Client
	for i, st := range []any{s.a.Full, s.b} {
		c, err := st.(validate.Clients).Client(t.Context(), id)
		s.a.must(t, err)
		both[i] = c
	}
	a, b := both[0], both[1]
	if !slices.EqualFunc(a.Keys, b.Keys, secret.Bytes.Equal) || a.Active != b.Active || a.MustSig != b.MustSig || !a.Until.Equal(b.Until) ||
		!slices.Equal(a.Networks, b.Networks) || !slices.Equal(a.Groups, b.Groups) {
		t.Errorf("two processes see %+v and %+v", a, b)
	}
	return b
}

// keys compares the valid keys, newest first.
func (s *staffSuite) keys(t *testing.T, id int64, want ...secret.Bytes) {
	t.Helper()
	c := s.client(t, id)
	if !slices.EqualFunc(c.Keys, want, secret.Bytes.Equal) {
		t.Errorf("at %v: %d keys, want %d in that order", s.now(), len(c.Keys), len(want))
	}
	if (len(want) == 2) == c.Until.IsZero() {
		t.Errorf("%d keys, until %v", len(want), c.Until)
	}
}

func (s *staffSuite) addClient(t *testing.T, name string, r desk.ClientRights) (int64, secret.Bytes) {
	t.Helper()
	c, err := s.here.AddClient(t.Context(), name, r)
	if err != nil || len(c.Keys) != 1 || c.Keys[0].Len() != 20 {
		t.Fatalf("%+v, %v", c, err)
	}
	return c.ID, c.Keys[0]
}

// rotate returns the new key.
func (s *staffSuite) rotate(t *testing.T, d *desk.Desk, query string, keep time.Duration) secret.Bytes {
	t.Helper()
	c, err := d.RotateClient(t.Context(), query, keep)
	if err != nil || len(c.Keys) != 1 || c.Keys[0].Len() != 20 || c.Keys[0].IsZero() {
		t.Fatalf("%+v, %v", c, err)
	}
	if keep > 0 && !c.Until.Equal(s.now().Add(keep)) || keep == 0 && !c.Until.IsZero() {
		t.Errorf("the former is valid until %v", c.Until)
	}
	return c.Keys[0]
}

func testRotation(t *testing.T, s *staffSuite) {
	id, first := s.addClient(t, "vpn", desk.ClientRights{})
	s.keys(t, id, first)
	second := s.rotate(t, s.there, "vpn", time.Hour)
	s.keys(t, id, second, first)
	if _, err := s.here.RotateClient(t.Context(), "vpn", time.Hour); !errors.Is(err, desk.ErrRotating) {
		t.Errorf("during a rotation: %v", err)
	}
	s.keys(t, id, second, first)
	if list, err := s.there.Clients(t.Context()); err != nil || len(list) != 1 || len(list[0].Keys) != 0 || !list[0].Until.Equal(s.now().Add(time.Hour)) {
		t.Errorf("%+v, %v", list, err)
	}
	s.pass(time.Hour - time.Second)
	s.keys(t, id, second, first)
	s.pass(time.Second)
	s.keys(t, id, second)
	third := s.rotate(t, s.here, "1", time.Hour) // by number; the former is over
	s.keys(t, id, third, second)
	s.pass(time.Hour)
	s.keys(t, id, third)
	for _, query := range []string{"", "2", "VPN", "nobody", "-1"} {
		if _, err := s.here.RotateClient(t.Context(), query, time.Hour); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%q: %v", query, err)
		}
	}
	var text *desk.TextError
	if _, err := s.here.RotateClient(t.Context(), "vpn", -time.Second); !errors.As(err, &text) {
		t.Errorf("below 0: %v", err)
	}
}

func testRotationNow(t *testing.T, s *staffSuite) {
	id, first := s.addClient(t, "vpn", desk.ClientRights{})
	second := s.rotate(t, s.here, "vpn", 0)
	s.keys(t, id, second)
	third := s.rotate(t, s.there, "vpn", time.Hour)
	s.keys(t, id, third, second)
	fourth := s.rotate(t, s.here, "vpn", 0) // ends both
	s.keys(t, id, fourth)
	if first.Equal(second) || second.Equal(third) || third.Equal(fourth) {
		t.Error("a key came twice")
	}
}

// testRotationRace: of many rotations at once one happens, and its key is the one that is valid.
func testRotationRace(t *testing.T, s *staffSuite) {
	id, first := s.addClient(t, "vpn", desk.ClientRights{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []secret.Bytes
	for i := range 8 {
		wg.Go(func() {
			c, err := []*desk.Desk{s.here, s.there}[i%2].RotateClient(t.Context(), "vpn", time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, c.Keys[0])
			} else if !errors.Is(err, desk.ErrRotating) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d rotations", len(won))
	}
	s.keys(t, id, won[0], first)
}

func testClientRights(t *testing.T, s *staffSuite) {
	var networks []netip.Prefix
	for _, text := range []string{"192.0.2.77/24", "2001:db8::1", "::ffff:198.51.100.7", "::ffff:203.0.113.0/120"} {
		p, err := desk.ParseNetwork(text)
		s.a.must(t, err)
		networks = append(networks, p)
	}
	id, _ := s.addClient(t, "vpn", desk.ClientRights{MustSig: true, Networks: networks, Groups: []string{"staff", "a;b"[:1], "staff"}})
	c := s.client(t, id)
	if !c.MustSig || !slices.Equal(c.Groups, []string{"a", "staff"}) || len(c.Networks) != 4 {
		t.Errorf("%+v", c)
	}
	for source, want := range map[string]bool{
		"192.0.2.1": true, "192.0.3.1": false, "::ffff:192.0.2.1": true, "2001:db8::1": true, "2001:db8::2": false, "198.51.100.7": true,
		"198.51.100.8": false, "203.0.113.9": true, "@": false, "": false, "2001:db8::1%eth0": true,
	} {
		if c.AllowsSource(source) != want {
			t.Errorf("from %q: %v", source, !want)
		}
	}
	if !c.AllowsGroups([]string{"b", "staff"}) || c.AllowsGroups([]string{"b"}) || c.AllowsGroups(nil) {
		t.Error("groups")
	}
	no, none, some := false, []netip.Prefix{}, []string{"guests, invited", `quo"ted`}
	changed, err := s.there.SetClient(t.Context(), "vpn", desk.ClientChange{MustSig: &no, Groups: &some})
	s.a.must(t, err)
	if c := s.client(t, id); c.MustSig || len(c.Networks) != 4 || !slices.Equal(c.Groups, some) || !slices.Equal(changed.Groups, some) {
		t.Errorf("%+v", c)
	}
	_, err = s.here.SetClient(t.Context(), "1", desk.ClientChange{Networks: &none, Groups: &[]string{}})
	s.a.must(t, err)
	if c := s.client(t, id); c.Networks != nil || c.Groups != nil || !c.AllowsSource("@") || !c.AllowsGroups(nil) {
		t.Errorf("%+v", c)
	}
	var text *desk.TextError
	for _, group := range []string{"", "a;b", " a", "a\n", strings.Repeat("a", 1001)} {
		if _, err := s.here.SetClient(t.Context(), "vpn", desk.ClientChange{Groups: &[]string{group}}); !errors.As(err, &text) || text.Field != "group" {
			t.Errorf("group %q: %v", group, err)
		}
	}
	if _, err := s.here.AddClient(t.Context(), "7", desk.ClientRights{}); !errors.As(err, &text) || text.Field != "name" {
		t.Errorf("a number as a name: %v", err)
	}
}

func testRevokedClient(t *testing.T, s *staffSuite) {
	id, _ := s.addClient(t, "vpn", desk.ClientRights{})
	other, key := s.addClient(t, "mail", desk.ClientRights{})
	s.rotate(t, s.here, "vpn", time.Hour)
	if _, err := s.there.RevokeClient(t.Context(), "vpn"); err != nil {
		t.Fatal(err)
	}
	if c := s.client(t, id); c.Active || len(c.Keys) != 0 {
		t.Errorf("%+v", c)
	}
	s.keys(t, other, key)
	for name, f := range map[string]func() error{
		"revoke": func() error { _, err := s.here.RevokeClient(t.Context(), "vpn"); return err },
		"rotate": func() error { _, err := s.here.RotateClient(t.Context(), "vpn", 0); return err },
		"set": func() error {
			_, err := s.here.SetClient(t.Context(), "vpn", desk.ClientChange{Groups: &[]string{"a"}})
			return err
		},
	} {
		if err := f(); !errors.Is(err, token.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := s.there.Clients(t.Context()); err != nil || list[0].Active || !list[0].Until.IsZero() || !list[1].Active {
		t.Errorf("%+v, %v", list, err)
	}
}

func testGroups(t *testing.T, s *staffSuite) {
	s.a.must(t, s.here.AddPerson(t.Context(), token.Person{Account: "anna", Groups: []string{"staff", "lab", "staff"}}))
	s.a.must(t, s.here.ImportPersons(t.Context(), strings.NewReader("groups,account\n staff ; x y ;;guests,bert\n,carl\n\"a\tb\",dora\nlater,anna\n"), func(r desk.PersonRow) {
		if want := r.Line == 4; (r.Err != nil) != want || want && r.Err.Field != "groups" {
			t.Errorf("line %d: %v", r.Line, r.Err)
		}
	}))
	is := func(account string, want ...string) {
		t.Helper()
		p, err := s.b.Person(t.Context(), account)
		if err != nil || !slices.Equal(p.Groups, want) {
			t.Errorf("%s is in %q, want %q; %v", account, p.Groups, want, err)
		}
	}
	is("anna", "lab", "staff")
	is("bert", "guests", "staff", "x y")
	is("carl")
	p, err := s.there.Group(t.Context(), "anna", []string{"guests", "lab"}, []string{"staff", "never"})
	if err != nil || !slices.Equal(p.Groups, []string{"guests", "lab"}) {
		t.Errorf("%+v, %v", p, err)
	}
	list, err := s.here.Persons(t.Context())
	if err != nil || len(list) != 3 || !slices.Equal(list[0].Groups, []string{"guests", "lab"}) || len(list[1].Groups) != 3 || list[2].Groups != nil {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := s.here.Group(t.Context(), "nobody", []string{"a"}, nil); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	var text *desk.TextError
	if _, err := s.here.Group(t.Context(), "anna", nil, []string{"a;b"}); !errors.As(err, &text) {
		t.Errorf("a semicolon: %v", err)
	}
}

// testHolderGroups: what decides about an OTP knows the groups of the holder as they are now.
func testHolderGroups(t *testing.T, s *staffSuite) {
	s.a.must(t, s.here.AddPerson(t.Context(), token.Person{Account: "anna", Groups: []string{"staff", "lab"}}))
	anna, err := s.a.Person(t.Context(), "anna")
	s.a.must(t, err)
	r := reservation(101)
	r.Holder = anna.ID
	s.a.issue(t, r, 1)
	free := reservation(102)
	s.a.issue(t, free, 2)
	is := func(id token.PublicID, want ...string) {
		t.Helper()
		c, err := s.b.Find(t.Context(), id)
		if err != nil || !slices.Equal(c.Groups, want) {
			t.Errorf("%q, want %q; %v", c.Groups, want, err)
		}
	}
	is(r.PublicID, "lab", "staff")
	is(free.PublicID)
	if k, err := s.there.Find(t.Context(), "101"); err != nil || !slices.Equal(k.Holder.Groups, []string{"lab", "staff"}) {
		t.Errorf("%+v, %v", k.Holder, err)
	}
	_, err = s.here.Group(t.Context(), "anna", nil, []string{"lab", "staff"})
	s.a.must(t, err)
	is(r.PublicID)
}
