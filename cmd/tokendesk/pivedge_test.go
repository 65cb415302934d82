package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/usbhid"
)

// TestAttestTooOld: on firmware that cannot attest nothing is made for it.
func TestAttestTooOld(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	app := r.plugPIV(vkey.YubiKey435.At(vkey.Version{Major: 4, Minor: 2, Build: 8}), pivapplet.Options{})
	r.ends(exitDevice, "attestation needs firmware 4.3.0", "device", "attest", "--roots", r.roots(pivapplet.TestCA()))
	if n := app.Counts().Generated; n > 0 {
		t.Errorf("%d keys were made", n)
	}
}

// TestPIVGenerateHalfway: a request that fails after its key was made says how to go on; the same command would find the slot taken.
func TestPIVGenerateHalfway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ flags, says string }{
		"request":     {"--csr FILE", "tokendesk piv csr 9a --subject NAME --out FILE"},
		"certificate": {"--self-signed", "without a certificate; to make both anew: --overwrite"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.plugPIV(vkey.YubiKey571, pivapplet.Options{})
			r.must("init")
			words := []string{"piv", "generate", "9a", "--subject", "ada"}
			for _, w := range strings.Fields(c.flags) {
				words = append(words, strings.Replace(w, "FILE", filepath.Join(t.TempDir(), "ada.csr"), 1))
			}
			r.ends(exitRefused, "the PIN of the card is not known", words...)
			if !strings.Contains(r.err.String(), c.says) {
				t.Errorf("said\n%s", r.err.String())
			}
		})
	}
}

// TestPIVAttestUnasked: certificates are no secret; that a key was not asked to sign is told.
func TestPIVAttestUnasked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy   piv.PINPolicy
		answered string
	}{"wants the PIN": {piv.PINOnce, "false"}, "wants none": {piv.PINNever, "true"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.plugPIV(vkey.YubiKey571, pivapplet.Options{})
			r.must("init")
			card, err := openApplet(t.Context(), virtualBus{r.key, 2}, usbhid.Attached{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = card.Generate(t.Context(), piv.DefaultManagementKey(), piv.Authentication, piv.KeySpec{Algorithm: piv.P256, PIN: c.policy, Touch: piv.TouchNever})
			if err := errors.Join(err, card.Close()); err != nil {
				t.Fatal(err)
			}
			r.out.Reset()
			r.must("piv", "attest", "9a", "--roots", r.roots(pivapplet.TestCA()), "-o", "json")
			if !strings.Contains(r.out.String(), `"answered": `+c.answered) || strings.Contains(r.err.String(), "may be copies") == (c.policy == piv.PINNever) {
				t.Errorf("said\n%s%s", r.out.String(), r.err.String())
			}
		})
	}
}

// TestUnlockEmptied: where the slot says that it is empty, no PIN is tried: the key was reset, and may have another by now.
func TestUnlockEmptied(t *testing.T) {
	t.Parallel()
	r, p, one, _ := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	one.pin, one.verified = "other1", 0
	delete(one.keys, unlockSlot)
	r.types(p, "hq41zn")
	r.ends(exitIntegrity, "no longer holds what opens the sealing key", "person", "list")
	if one.verified > 0 || p.asked > 0 || one.left != 3 {
		t.Errorf("%d PINs were tried, and somebody was asked %d times", one.verified, p.asked)
	}
}

// TestUnlockTouch: who starts a program is told that the key waits for a touch.
func TestUnlockTouch(t *testing.T) {
	t.Parallel()
	r, p, one, _ := newUnlockRig(t)
	one.make(t)
	one.pin, one.touch = "hq41zn", piv.TouchAlways
	r.types(p, "hq41zn")
	r.ends(exitDone, "touch key 11 when it blinks: slot 9d wants it", "init", "--unlock", "piv")
	if _, err := os.Stat(r.sealingPath()); err != nil || !strings.Contains(r.err.String(), "each command and server that starts waits") {
		t.Errorf("%v\n%s", err, r.err.String())
	}
	r.types(p, "hq41zn")
	r.ends(exitDone, "touch key 11 when it blinks: slot 9d wants it", "person", "list")
}

// TestSubjectEscaped: a name is written as RFC 4514 wants it, or refused; nothing in it means something else than it says.
func TestSubjectEscaped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`CN=Zo\C3\AB \+ Co,C=DE`: `CN=Zoë \+ Co,C=DE`, `ada\x`: `CN=ada\\x`, `CN=a\,b`: `CN=a\,b`,
		"CN=ada+UID=7": "", `CN="ada"`: "", "CN=a;O=b": "", "CN=<a>": "", `CN=a\`: "",
		`CN=a\0Ab`: "", `CN=a\ff`: "", "a\nb": "", "CN=a\x1b[2J": "", "CN=\u202eada": "",
	} {
		n, err := parseSubject("--subject", text)
		if (err == nil) != (want != "") || err == nil && n.String() != want {
			t.Errorf("%q: got %v %v, want %q", text, n, err, want)
		}
	}
}

// TestUnlockImpossible: a PIN that no key can have uses up no try.
func TestUnlockImpossible(t *testing.T) {
	t.Parallel()
	r, p, one, _ := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	one.verified = 0
	for _, typed := range []string{"hq41z", "hq41znhq4"} {
		r.types(p, typed)
		r.ends(exitUsage, "this was not tried", "person", "list")
		if one.verified > 0 || one.left != 3 {
			t.Errorf("%d PINs were tried", one.verified)
		}
	}
}

// TestCertificateOfAnybody: what a key's holder writes into a certificate is kept, and so does not end what a helpdesk does with the key.
func TestCertificateOfAnybody(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &pivSession{st: r.open(), facts: piv.Facts{Serial: rigSerial}}
	for name, want := range map[string]string{"ada\x00\x1b[2J": "CN=ada[2J", strings.Repeat(",", 2600): "CN=\\,", strings.Repeat("ä", 2600): "CN=ä"} {
		template := &x509.Certificate{
			SerialNumber: new(big.Int).Lsh(big.NewInt(1), 20000), Subject: pkix.Name{CommonName: name}, NotAfter: time.Date(2050, time.January, 1, 0, 0, 0, 0, time.UTC),
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.noteCertificate(t.Context(), piv.Authentication, c); err != nil {
			t.Errorf("%.20q: %v", name, err)
		}
		list, err := s.st.Certificates(t.Context(), rigSerial)
		if err != nil || len(list) == 0 || !strings.HasPrefix(list[0].Subject, want) || !utf8.ValidString(list[0].Subject) || list[0].Issuer != list[0].Subject {
			t.Errorf("%.20q: kept %.60v, %v", name, list, err)
		}
	}
}
