package desk

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"testing"

	"github.com/tokendesk/tokendesk/validate"
)

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.77/24": "192.0.2.0/24", "192.0.2.77": "192.0.2.77/32", "2001:db8:7::1/48": "2001:db8:7::/48", "2001:db8::1": "2001:db8::1/128",
		"::ffff:192.0.2.77": "192.0.2.77/32", "::ffff:192.0.2.77/120": "192.0.2.0/24", "0.0.0.0/0": "0.0.0.0/0", "::/0": "::/0",
		"": "", "192.0.2.0/33": "", "192.0.2": "", "::ffff:192.0.2.0/95": "", "fe80::1%eth0": "", "mail.example.org": "", " 192.0.2.1": "", "192.0.2.0/+8": "",
	} {
		got, err := ParseNetwork(text)
		var bad *TextError
		if want == "" && !errors.As(err, &bad) || want != "" && (err != nil || got.String() != want) {
			t.Errorf("%q: %v, %v, want %q", text, got, err, want)
		}
	}
}

// FuzzParseNetwork: what is taken reads again as itself, and holds its own address also when that comes mapped.
func FuzzParseNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.77/24", "::ffff:192.0.2.77/120", "2001:db8::/32", "fe80::1%eth0", "1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseNetwork(s)
		if err != nil {
			return
		}
		if again, err := ParseNetwork(p.String()); err != nil || again != p {
			t.Errorf("%v reads again as %v, %v", p, again, err)
		}
		c := validate.Client{Networks: []netip.Prefix{p}}
		if !c.AllowsSource(p.Addr().String()) || p.Addr().Is4() && !c.AllowsSource(netip.AddrFrom16(p.Addr().As16()).String()) {
			t.Errorf("%v does not hold its own address", p)
		}
	})
}

// TestDrawnSharedSecret: a secret that we draw is 32 letters and digits, so that no program takes it for an option and no form for markup.
func TestDrawnSharedSecret(t *testing.T) {
	t.Parallel()
	d := &Desk{Rand: rand.NewChaCha8([32]byte{1})}
	for range 200 {
		s, err := d.drawShared()
		if err != nil || !regexp.MustCompile(`^[A-Z2-7]{32}$`).Match(s.Reveal()) {
			t.Fatalf("%d characters, %v", s.Len(), err)
		}
	}
}
