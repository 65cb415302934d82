package storetest

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

func testProfiles(t *testing.T, s *staffSuite) {
	p := profile.New("staff", token.YubicoOTP)
	p.Description, p.Exports = "what the lecturers get", []string{"ksm", "pskc"}
	first, err := s.here.AddProfile(t.Context(), p, false)
	if err != nil || first.Version != 1 || first.By == "" || !first.Created.Equal(at(0)) || first.String() != p.String() {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := s.there.AddProfile(t.Context(), p, false); err != nil || again.Version != 1 {
		t.Errorf("the same again: version %d, %v", again.Version, err)
	}
	p.Slot = 1
	if _, err := s.there.AddProfile(t.Context(), p, false); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("a change that is not meant: %v", err)
	}
	if next, err := s.there.AddProfile(t.Context(), p, true); err != nil || next.Version != 2 {
		t.Errorf("a change: version %d, %v", next.Version, err)
	}
	if _, err := s.here.AddProfile(t.Context(), profile.New("box", token.HOTP), true); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("a change of nothing: %v", err)
	}
	var bad *profile.CheckError
	if _, err := s.here.AddProfile(t.Context(), profile.Profile{Name: "x"}, false); !errors.As(err, &bad) {
		t.Errorf("a bad one: %v", err)
	}
	_, err = s.here.AddProfile(t.Context(), profile.New("box", token.HOTP), false)
	s.a.must(t, err)
	if got := offered(t, s.here); got != "box 1, staff 2" {
		t.Errorf("offered: %s", got)
	}
	s.a.must(t, s.there.RemoveProfile(t.Context(), "staff"))
	if err := s.here.RemoveProfile(t.Context(), "staff"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("removed again: %v", err)
	}
	if got := offered(t, s.here); got != "box 1" {
		t.Errorf("offered after the end of one: %s", got)
	}
	if third, err := s.here.AddProfile(t.Context(), p, false); err != nil || third.Version != 3 {
		t.Errorf("added after its end: version %d, %v", third.Version, err)
	}
	list, err := s.there.ProfileVersions(t.Context(), "staff")
	if err != nil || len(list) != 3 || list[0].Version != 3 || list[2].String() != first.String() || list[1].Removed.IsZero() || !list[0].Removed.IsZero() {
		t.Errorf("versions: %+v, %v", list, err)
	}
	if _, err := s.here.ProfileVersions(t.Context(), "none"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("versions of nothing: %v", err)
	}
}

func offered(t *testing.T, d *desk.Desk) string {
	t.Helper()
	list, err := d.Profiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range list {
		out = append(out, p.Name+" "+token.Serial(p.Version).String())
	}
	return strings.Join(out, ", ")
}

// testProfileRace: eight processes change a profile at once. Each change gets a version of its own, without gaps.
func testProfileRace(t *testing.T, s *staffSuite) {
	_, err := s.here.AddProfile(t.Context(), profile.New("staff", token.YubicoOTP), false)
	s.a.must(t, err)
	const rivals = 8
	var wg sync.WaitGroup
	errs := make([]error, rivals)
	for i := range rivals {
		wg.Go(func() {
			p := profile.New("staff", token.YubicoOTP)
			p.StockPrefix = "A" + token.Serial(i+1).String() + "-"
			d := s.here
			if i%2 == 1 {
				d = s.there
			}
			_, errs[i] = d.AddProfile(t.Context(), p, true)
		})
	}
	wg.Wait()
	s.a.must(t, errors.Join(errs...))
	list, err := s.here.ProfileVersions(t.Context(), "staff")
	if err != nil || len(list) != rivals+1 || list[0].Version != rivals+1 {
		t.Errorf("%d versions, %v", len(list), err)
	}
}
