package pivapplet_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
)

// chain is the attestation of slot 9A and the certificate above it.
func chain(t *testing.T, k *vkey.Key, admin string) (slot, above *x509.Certificate) {
	t.Helper()
	says(t, k, choose+admin+make9A)
	parse := func(der []byte) *x509.Certificate {
		t.Helper()
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	said := unhex(t, says(t, k, "00f99a00000000"))
	slot = parse(said[:len(said)-2])
	object := pivapplet.Of(k).Object(0x5fff01)
	const head, tail = 4, 5 // 70 82 length; 71 01 00 FE 00
	return slot, parse(object[head : len(object)-tail])
}

// TestChain: attestations of each firmware that has them lead to the root, over the intermediate from 5.7 on, and to no other CA's.
func TestChain(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		profile vkey.Profile
		admin   string
		between bool
	}{{vkey.YubiKey435, tries3DES, false}, {vkey.YubiKey527, tries3DES, false}, {vkey.YubiKey543, tries3DES, false}, {vkey.YubiKey571, triesAES, true}} {
		for _, name := range []string{"Virtual PIV", "another"} {
			t.Run(fmt.Sprint(v.profile.Version, name), func(t *testing.T) {
				t.Parallel()
				ca := pivapplet.NewCA(name)
				k, _ := card(v.profile, pivapplet.Options{CA: ca})
				slot, above := chain(t, k, v.admin)
				if basic := v.profile.Version.Major >= 5; above.BasicConstraintsValid != basic {
					t.Errorf("basic constraints of the attestation key: %v", !basic)
				}
				above.BasicConstraintsValid, above.IsCA = true, true
				for _, c := range []struct {
					roots, between []*x509.Certificate
					good           bool
				}{
					{[]*x509.Certificate{ca.Root()}, []*x509.Certificate{above, ca.Intermediate()}, true},
					{[]*x509.Certificate{ca.Root()}, []*x509.Certificate{above}, !v.between},
					{[]*x509.Certificate{pivapplet.NewCA("third").Root()}, []*x509.Certificate{above, ca.Intermediate()}, false},
				} {
					o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
					for _, r := range c.roots {
						o.Roots.AddCert(r)
					}
					for _, r := range c.between {
						o.Intermediates.AddCert(r)
					}
					if _, err := slot.Verify(o); (err == nil) != c.good {
						t.Errorf("%d between: %v", len(c.between), err)
					}
				}
			})
		}
	}
}

// TestForge: what a counterfeit says is signed as it says it.
func TestForge(t *testing.T) {
	t.Parallel()
	k, _ := card(vkey.YubiKey543, pivapplet.Options{Forge: func(a *pivapplet.Attested) { a.Serial, a.FormFactor, a.PIN = 99, 0, 1 }})
	slot, above := chain(t, k, tries3DES)
	if err := above.CheckSignature(slot.SignatureAlgorithm, slot.RawTBSCertificate, slot.Signature); err != nil {
		t.Error(err)
	}
	got := map[string]string{}
	for _, e := range slot.Extensions {
		got[e.Id.String()] = fmt.Sprintf("%x", e.Value)
	}
	const arc = "1.3.6.1.4.1.41482.3."
	want := map[string]string{arc + "3": "050403", arc + "7": "020163", arc + "8": "0101"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("extensions %v, want %v", got, want)
	}
	if slot.Subject.CommonName != "YubiKey PIV Attestation 9a" || slot.Issuer.String() != above.Subject.String() {
		t.Errorf("%v by %v", slot.Subject, slot.Issuer)
	}
}

// TestCAStays: a CA is the same in any process, and its PEM is what it says.
func TestCAStays(t *testing.T) {
	t.Parallel()
	one, other := pivapplet.TestCA(), pivapplet.NewCA("Virtual PIV")
	if !bytes.Equal(one.RootPEM(), other.RootPEM()) || !bytes.Equal(one.IntermediatePEM(), other.IntermediatePEM()) {
		t.Error("two CAs of one name differ")
	}
	for c, text := range map[*x509.Certificate][]byte{one.Root(): one.RootPEM(), one.Intermediate(): one.IntermediatePEM()} {
		if block, rest := pem.Decode(text); block == nil || len(rest) > 0 || !bytes.Equal(block.Bytes, c.Raw) {
			t.Errorf("PEM of %v", c.Subject)
		}
	}
	a, _ := card(vkey.YubiKey543, pivapplet.Options{})
	b, _ := card(vkey.YubiKey543, pivapplet.Options{})
	if !bytes.Equal(pivapplet.Of(a).Object(0x5fff01), pivapplet.Of(b).Object(0x5fff01)) {
		t.Error("two keys of one serial number have different attestation keys")
	}
}

// TestAttestationKeyReplaced: the attestation key may be replaced, stays over a reset, and then leads nowhere.
func TestAttestationKeyReplaced(t *testing.T) {
	t.Parallel()
	k, _ := card(vkey.YubiKey543, pivapplet.Options{})
	says(t, k, choose+tries3DES+"004700f905ac03800111 "+wrongPIN+wrongPIN+wrongPIN+badPUK+badPUK+badPUK+resetAll)
	slot, above := chain(t, k, tries3DES)
	if err := above.CheckSignature(slot.SignatureAlgorithm, slot.RawTBSCertificate, slot.Signature); err == nil {
		t.Error("another key's signature is taken for the attestation key's")
	}
}

// FuzzRun: no command makes the card panic, and what the management key guards stays as it was.
func FuzzRun(f *testing.F) {
	for _, seed := range []string{
		choose + rightPIN, choose + tries3DES + make9A, choose + put("5fc102", "3000") + read("5fc102"), choose + singleDES,
		"0087119a067c0482008100", "00fe119a0806040102030405", "00db3fff095c037f490153820000", "00f6829a", "00f7009b", "00f99a00", "00ffffff03039b00",
	} {
		for _, a := range bytes.Fields([]byte(seed)) {
			f.Add(unhex(f, string(a)))
		}
	}
	f.Fuzz(func(t *testing.T, apdu []byte) {
		c, ok := vkey.ParseAPDU(apdu)
		if !ok {
			return
		}
		for _, v := range []struct {
			profile vkey.Profile
			proven  string
		}{{vkey.YubiKeyNEO, choose}, {vkey.YubiKey571, choose}, {vkey.YubiKey571, choose + triesAES + rightPIN}} {
			if v.proven != choose && c.INS == 0x47 {
				continue // an RSA key takes its time
			}
			k, app := card(v.profile, pivapplet.Options{})
			k.OnTouchWait(func() bool { return true })
			says(t, k, v.proven)
			if got, err := k.Card().Transmit(apdu); err != nil || len(got) < 2 || got[len(got)-2] == 0 {
				t.Errorf("%x: %x, %v", apdu, got, err)
			}
			if _, made := app.Slot(0x9a); v.proven == choose && (made || !app.HoldsPIN(pivapplet.FactoryPIN) && c.INS != 0x24 && c.INS != 0x2c || app.Object(0x5fc102) != nil) {
				t.Errorf("%x changed the card", apdu)
			}
		}
	})
}
