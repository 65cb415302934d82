package sqlstore

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/validate"
)

// TestSwappedSharedSecrets: a secret that somebody puts back where another was does not open, neither the former, nor another device's,
// nor the upstream server's.
func TestSwappedSharedSecrets(t *testing.T) {
	t.Parallel()
	for _, swap := range []string{
		`UPDATE radius SET sealed = former_sealed, former_sealed = sealed WHERE id = 1`,
		`UPDATE radius SET sealed = (SELECT sealed FROM radius WHERE id = 2), key_number = 1, former_until = 0 WHERE id = 1`,
		`UPDATE radius SET upstream_sealed = sealed WHERE id = 1`,
		`UPDATE radius SET sealed = upstream_sealed WHERE id = 1`,
	} {
		s, p := makeStore(t)
		d := &desk.Desk{Store: s, Now: time.Now, Rand: rand.Reader}
		if _, err := d.AddClient(t.Context(), "vpn", desk.ClientRights{}); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"a", "b"} {
			_, err := d.AddNAS(t.Context(), desk.NewNAS{
				Name: name, Client: "vpn", Networks: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)},
				Rules:          validate.NASRules{Password: validate.PasswordUpstream, Upstream: "192.0.2.7:1812"},
				UpstreamSecret: secret.Copy([]byte("shared with the other")),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.RotateNAS(t.Context(), "a", secret.Bytes{}, time.Hour); err != nil {
			t.Fatal(err)
		}
		for _, st := range []*Store{s, p.openStore(t)} {
			if list, err := st.NASes(t.Context()); err != nil || len(list) != 2 || len(list[0].Secrets) != 2 || len(list[1].Secrets) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
		}
		execute(t, s, swap)
		for _, st := range []*Store{s, p.openStore(t)} {
			if list, err := st.NASes(t.Context()); err == nil {
				t.Errorf("%s: %d devices", swap, len(list))
			}
		}
		verifyAudit(t, s)
	}
}
