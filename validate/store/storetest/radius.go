package storetest

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

func prefixes(t *testing.T, list ...string) (out []netip.Prefix) {
	t.Helper()
	for _, text := range list {
		p, err := desk.ParseNetwork(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// devices are the active RADIUS devices as both processes see them, which must be the same.
func (s *staffSuite) devices(t *testing.T) []validate.NAS {
	t.Helper()
	var both [2][]validate.NAS
	for i, st := range []any{s.a.Full, s.b} {
		list, err := st.(validate.NASes).NASes(t.Context())
		s.a.must(t, err)
		both[i] = list
	}
	same := func(a, b validate.NAS) bool {
		return a.ID == b.ID && a.Name == b.Name && a.Client == b.Client && a.Active == b.Active && a.Until.Equal(b.Until) && a.NASRules == b.NASRules &&
			slices.Equal(a.Networks, b.Networks) && slices.EqualFunc(a.Secrets, b.Secrets, secret.Bytes.Equal) && a.UpstreamSecret.Equal(b.UpstreamSecret)
	}
	if !slices.EqualFunc(both[0], both[1], same) {
		t.Errorf("two processes see %+v and %+v", both[0], both[1])
	}
	return both[1]
}

// shared compares the valid secrets of the one device, newest first.
func (s *staffSuite) shared(t *testing.T, want ...secret.Bytes) {
	t.Helper()
	list := s.devices(t)
	if len(list) != 1 || !slices.EqualFunc(list[0].Secrets, want, secret.Bytes.Equal) || (len(want) == 2) == list[0].Until.IsZero() {
		t.Errorf("at %v: %+v, want %d secrets in that order", s.now(), list, len(want))
	}
}

func (s *staffSuite) addDevice(t *testing.T, n desk.NewNAS) validate.NAS {
	t.Helper()
	got, err := s.here.AddNAS(t.Context(), n)
	if err != nil || len(got.Secrets) != 1 || got.ID < 1 || !got.Active {
		t.Fatalf("%+v, %v", got, err)
	}
	return got
}

func testRADIUS(t *testing.T, s *staffSuite) {
	id, _ := s.addClient(t, "vpn", desk.ClientRights{})
	n := s.addDevice(t, desk.NewNAS{Name: "gate", Client: "vpn", Networks: prefixes(t, "192.0.2.77/24", "2001:db8::1", "192.0.2.0/24")})
	if text := string(n.Secrets[0].Reveal()); len(text) != 32 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("a secret of %d characters that not every device takes", len(text))
	}
	list := s.devices(t)
	want := validate.NASRules{Password: validate.PasswordNone, CodeLen: 6, OTPLen: 44}
	if len(list) != 1 || list[0].Name != "gate" || list[0].Client != id || list[0].NASRules != want || !slices.Equal(list[0].Networks, prefixes(t, "192.0.2.0/24", "2001:db8::1")) {
		t.Fatalf("%+v", list)
	}
	s.shared(t, n.Secrets[0])
	upstream := secret.Copy([]byte("secret of the other server"))
	rules := validate.NASRules{Password: validate.PasswordUpstream, CodeLen: 8, OTPLen: 40, StripRealm: true, Upstream: "[2001:db8::7]:1812"}
	nets := prefixes(t, "198.51.100.7")
	changed, err := s.there.SetNAS(t.Context(), strconv.FormatInt(n.ID, 10), desk.NASChange{Networks: &nets, Rules: &rules, UpstreamSecret: &upstream})
	if list = s.devices(t); err != nil || changed.NASRules != rules || list[0].NASRules != rules || !list[0].UpstreamSecret.Equal(upstream) || !slices.Equal(list[0].Networks, nets) {
		t.Errorf("%+v, %+v, %v", changed, list, err)
	}
	rules.StripRealm = false // the secret of the upstream server stays
	if _, err := s.here.SetNAS(t.Context(), "gate", desk.NASChange{Rules: &rules}); err != nil || !s.devices(t)[0].UpstreamSecret.Equal(upstream) {
		t.Error(err)
	}
	rules = validate.NASRules{Password: validate.PasswordIgnore, CodeLen: 6, OTPLen: 44}
	if _, err := s.here.SetNAS(t.Context(), "gate", desk.NASChange{Rules: &rules}); err != nil || s.devices(t)[0].UpstreamSecret.Len() != 0 {
		t.Error(err)
	}
	s.shared(t, n.Secrets[0])
	if list, err := s.here.NASes(t.Context()); err != nil || len(list) != 1 || len(list[0].Secrets) != 0 || list[0].NASRules != rules {
		t.Errorf("%+v, %v", list, err)
	}
}

func testRADIUSRotation(t *testing.T, s *staffSuite) {
	s.addClient(t, "vpn", desk.ClientRights{})
	first := s.addDevice(t, desk.NewNAS{Name: "gate", Client: "1", Networks: prefixes(t, "192.0.2.1"), Shared: secret.Copy([]byte("what the device says"))}).Secrets[0]
	if string(first.Reveal()) != "what the device says" {
		t.Error("another secret than the device's")
	}
	rotate := func(d *desk.Desk, keep time.Duration) secret.Bytes {
		t.Helper()
		n, err := d.RotateNAS(t.Context(), "gate", secret.Bytes{}, keep)
		if err != nil || len(n.Secrets) != 1 || keep > 0 && !n.Until.Equal(s.now().Add(keep)) || keep == 0 && !n.Until.IsZero() {
			t.Fatalf("%+v, %v", n, err)
		}
		return n.Secrets[0]
	}
	second := rotate(s.there, time.Hour)
	s.shared(t, second, first)
	if _, err := s.here.RotateNAS(t.Context(), "gate", secret.Bytes{}, time.Hour); !errors.Is(err, desk.ErrRotating) {
		t.Errorf("during a rotation: %v", err)
	}
	s.pass(time.Hour)
	s.shared(t, second)
	if swept, err := s.here.Sweep(t.Context()); err != nil || swept.Shared != 1 {
		t.Errorf("%+v, %v", swept, err)
	}
	third := rotate(s.here, time.Hour)
	s.shared(t, third, second)
	s.shared(t, rotate(s.there, 0)) // ends both
	var won sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			n, err := []*desk.Desk{s.here, s.there}[i%2].RotateNAS(t.Context(), "gate", secret.Bytes{}, time.Hour)
			if err == nil {
				won.Store(i, n.Secrets[0])
			} else if !errors.Is(err, desk.ErrRotating) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	count := 0
	won.Range(func(_, k any) bool {
		count++
		return s.devices(t)[0].Secrets[0].Equal(k.(secret.Bytes))
	})
	if count != 1 {
		t.Errorf("%d rotations", count)
	}
}

func testRADIUSRefusals(t *testing.T, s *staffSuite) {
	s.addClient(t, "vpn", desk.ClientRights{})
	s.addClient(t, "old", desk.ClientRights{})
	good := desk.NewNAS{Name: "gate", Client: "vpn", Networks: prefixes(t, "192.0.2.0/24")}
	s.addDevice(t, good)
	_, err := s.here.RevokeClient(t.Context(), "old")
	s.a.must(t, err)
	other := good
	other.Name, other.Networks = "other", prefixes(t, "192.0.2.0/25") // within the other's, and narrower: longest prefix decides
	s.addDevice(t, other)
	with := func(change func(*desk.NewNAS)) desk.NewNAS {
		n := desk.NewNAS{Name: "new", Client: "vpn", Networks: prefixes(t, "198.51.100.1")}
		change(&n)
		return n
	}
	field := func(err error) string {
		var text *desk.TextError
		if errors.As(err, &text) {
			return text.Field
		}
		return ""
	}
	for name, tc := range map[string]struct {
		n     desk.NewNAS
		is    error
		field string
	}{
		"name taken":          {with(func(n *desk.NewNAS) { n.Name = "gate" }), token.ErrDuplicate, ""},
		"network taken":       {with(func(n *desk.NewNAS) { n.Networks = prefixes(t, "192.0.2.0/24") }), desk.ErrNetworkTaken, ""},
		"no client":           {with(func(n *desk.NewNAS) { n.Client = "nobody" }), token.ErrNotFound, ""},
		"client revoked":      {with(func(n *desk.NewNAS) { n.Client = "old" }), desk.ErrClientRevoked, ""},
		"a number":            {with(func(n *desk.NewNAS) { n.Name = "7" }), nil, "name"},
		"no network":          {with(func(n *desk.NewNAS) { n.Networks = nil }), nil, "network"},
		"short secret":        {with(func(n *desk.NewNAS) { n.Shared = secret.Copy([]byte("fifteen letters")) }), nil, "secret"},
		"blank at the end":    {with(func(n *desk.NewNAS) { n.Shared = secret.Copy([]byte("sixteen letters ")) }), nil, "secret"},
		"not ASCII":           {with(func(n *desk.NewNAS) { n.Shared = secret.Copy([]byte("sixteen l\xe4tters!")) }), nil, "secret"},
		"rule":                {with(func(n *desk.NewNAS) { n.Rules.Password = "ldap" }), nil, "password"},
		"code length":         {with(func(n *desk.NewNAS) { n.Rules.CodeLen = 7 }), nil, "code length"},
		"OTP length":          {with(func(n *desk.NewNAS) { n.Rules.OTPLen = 45 }), nil, "OTP length"},
		"no upstream":         {with(func(n *desk.NewNAS) { n.Rules.Password = validate.PasswordUpstream }), nil, "upstream"},
		"upstream, not asked": {with(func(n *desk.NewNAS) { n.Rules.Upstream = "192.0.2.7:1812" }), nil, "upstream"},
		"upstream, no port":   {with(func(n *desk.NewNAS) { n.Rules.Password, n.Rules.Upstream = validate.PasswordUpstream, "192.0.2.7" }), nil, "upstream"},
		"upstream, no secret": {with(func(n *desk.NewNAS) { n.Rules.Password, n.Rules.Upstream = validate.PasswordUpstream, "192.0.2.7:1812" }), nil,
			"secret of the upstream server"},
		"secret, no upstream": {with(func(n *desk.NewNAS) { n.UpstreamSecret = secret.Copy([]byte("shared with the other")) }), nil, "secret of the upstream server"},
	} {
		if _, err := s.there.AddNAS(t.Context(), tc.n); err == nil || tc.is != nil && !errors.Is(err, tc.is) || field(err) != tc.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	taken := prefixes(t, "203.0.113.1", "192.0.2.0/24")
	if _, err := s.here.SetNAS(t.Context(), "other", desk.NASChange{Networks: &taken}); !errors.Is(err, desk.ErrNetworkTaken) {
		t.Errorf("set a network that is taken: %v", err)
	}
	if list := s.devices(t); len(list) != 2 || !slices.Equal(list[1].Networks, other.Networks) {
		t.Errorf("%+v", list)
	}
}

func testRevokedRADIUS(t *testing.T, s *staffSuite) {
	s.addClient(t, "vpn", desk.ClientRights{})
	s.addDevice(t, desk.NewNAS{Name: "gate", Client: "vpn", Networks: prefixes(t, "192.0.2.1")})
	if _, err := s.there.RevokeNAS(t.Context(), "gate"); err != nil || len(s.devices(t)) != 0 {
		t.Error(err)
	}
	nets := prefixes(t, "192.0.2.2")
	for name, f := range map[string]func() error{
		"revoke": func() error { _, err := s.here.RevokeNAS(t.Context(), "gate"); return err },
		"rotate": func() error { _, err := s.here.RotateNAS(t.Context(), "gate", secret.Bytes{}, 0); return err },
		"set": func() error {
			_, err := s.here.SetNAS(t.Context(), "gate", desk.NASChange{Networks: &nets})
			return err
		},
	} {
		if err := f(); !errors.Is(err, token.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, query := range []string{"", "4711", "GATE", "nobody"} {
		if _, err := s.here.RevokeNAS(t.Context(), query); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%q: %v", query, err)
		}
	}
	if list, err := s.here.NASes(t.Context()); err != nil || len(list) != 1 || list[0].Active {
		t.Errorf("%+v, %v", list, err)
	}
	s.addDevice(t, desk.NewNAS{Name: "gate 2", Client: "vpn", Networks: prefixes(t, "192.0.2.1")}) // its network is free again
}
