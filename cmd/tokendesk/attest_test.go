package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/usbhid"
)

// plugPIV puts another key into the rig, with its PIV application.
func (r *rig) plugPIV(profile vkey.Profile, o pivapplet.Options) *pivapplet.Applet {
	r.key = vkey.New(profile, vkey.Options{Serial: rigSerial})
	oathapplet.Install(r.key, oathapplet.Options{})
	r.bus = pivVirtual{virtualBus{r.key, 2}}
	return pivapplet.Install(r.key, o)
}

// roots is a file with the certificates of virtual keys.
func (r *rig) roots(ca *pivapplet.CA) string {
	r.t.Helper()
	name := filepath.Join(r.t.TempDir(), "roots.pem")
	if err := os.WriteFile(name, append(ca.RootPEM(), ca.IntermediatePEM()...), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return name
}

// answers runs device attest and reads its answer.
func (r *rig) answers(words ...string) (p provenKey, code exitCode) {
	r.t.Helper()
	r.out.Reset()
	r.err.Reset()
	code = r.run(append([]string{"device", "attest", "-o", "json"}, words...)...)
	var answer struct{ Attestation provenKey }
	if r.out.Len() > 0 {
		if err := json.Unmarshal(r.out.Bytes(), &answer); err != nil {
			r.t.Fatalf("%v\n%s", err, r.out.String())
		}
	}
	return answer.Attestation, code
}

// TestAttest asks genuine keys of each generation. What is generated for it goes again where the firmware can, and is
// found again elsewhere.
func TestAttest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		profile vkey.Profile
		stays   bool
		form    string
	}{
		"5.7":   {vkey.YubiKey571, false, "keychain (USB-C)"},
		"5.4.3": {vkey.YubiKey543, true, "keychain (USB-A)"},
		"4.3":   {vkey.YubiKey435, true, "keychain (USB-A)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			now := time.Now()
			r.now = func() time.Time { return now } // it is no other day at the end
			app := r.plugPIV(c.profile, pivapplet.Options{})
			roots := r.roots(pivapplet.TestCA())
			if p, code := r.answers("--roots", roots); code != exitDone || !p.Genuine || p.Recorded || !strings.Contains(r.err.String(), "no store") {
				t.Errorf("without a store: %d, %+v\n%s", code, p, r.err.String())
			}
			r.must("init")
			for range 2 {
				p, code := r.answers("--roots", roots)
				if code != exitDone || !p.Genuine || !p.Recorded || p.Serial != rigSerial || p.Slot != "95" || (p.Left != "") != c.stays || p.FormFactor != c.form ||
					!strings.Contains(p.Root, "Virtual PIV") {
					t.Fatalf("%d, %+v\n%s", code, p, r.err.String())
				}
			}
			if _, there := app.Slot(byte(spareSlot)); there != c.stays {
				t.Error("the spare key: ", there)
			}
			if n := app.Counts().PINTried; n > 0 {
				t.Errorf("%d PINs were tried", n)
			}
			r.out.Reset()
			r.must("device", "info")
			if !strings.Contains(r.out.String(), "yes, "+now.Local().Format(time.DateOnly)+" by root") {
				t.Errorf("device info says\n%s", r.out.String())
			}
			r.must("provision", "--slot", "2")
			r.out.Reset()
			r.must("token", "show", "7654321")
			if !strings.Contains(r.out.String(), "by root") {
				t.Errorf("token show says\n%s", r.out.String())
			}
		})
	}
}

// TestAttestFake: what is not genuine is refused with its reason, which is kept.
func TestAttestFake(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options pivapplet.Options
		profile vkey.Profile
		at      time.Time
		says    string
	}{
		"another maker":          {pivapplet.Options{CA: pivapplet.NewCA("Somebody")}, vkey.YubiKey543, time.Time{}, "unknown authority"},
		"maker of the same name": {pivapplet.Options{CA: pivapplet.NewCA("Virtual PIV ")}, vkey.YubiKey571, time.Time{}, "unknown authority"},
		"another serial":         {pivapplet.Options{Forge: func(a *pivapplet.Attested) { a.Serial++ }}, vkey.YubiKey543, time.Time{}, "it is of key 7654322, this one says that it is 7654321"},
		"no serial":              {pivapplet.Options{Forge: func(a *pivapplet.Attested) { a.Serial = 0 }}, vkey.YubiKey543, time.Time{}, "certifies no serial number"},
		"other firmware":         {pivapplet.Options{Forge: func(a *pivapplet.Attested) { a.Version.Major = 4 }}, vkey.YubiKey543, time.Time{}, "firmware"},
		"other form":             {pivapplet.Options{Forge: func(a *pivapplet.Attested) { a.FormFactor = 3 }}, vkey.YubiKey543, time.Time{}, "it says"},
		"copies of another key":  {pivapplet.Options{Forge: func(a *pivapplet.Attested) { a.Public = other.Public() }}, vkey.YubiKey543, time.Time{}, "of another key than the one in slot 95"},
		"expired":                {pivapplet.Options{}, vkey.YubiKey543, time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC), "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.plugPIV(c.profile, c.options)
			r.must("init")
			roots := r.roots(pivapplet.TestCA())
			if !c.at.IsZero() {
				r.now = func() time.Time { return c.at }
			}
			p, code := r.answers("--roots", roots)
			if code != exitIntegrity || p.Genuine || !p.Recorded || !strings.Contains(p.Refused, c.says) || !strings.Contains(r.err.String(), "does not prove") {
				t.Errorf("exit code %d, %+v\n%s", code, p, r.err.String())
			}
			kept, err := r.open().Attestation(t.Context(), rigSerial)
			if err != nil || kept.Genuine() || kept.Refused != p.Refused {
				t.Errorf("kept %+v, %v", kept, err)
			}
			r.out.Reset()
			r.must("device", "info")
			if !strings.Contains(r.out.String(), "NOT PROVEN") {
				t.Errorf("device info says\n%s", r.out.String())
			}
		})
	}
}

// copied is a counterfeit that shows what a genuine key once showed; it has none of its keys.
type copied struct {
	pivVirtual
	shown *x509.Certificate
}

func (b copied) openPIV(ctx context.Context, at usbhid.Attached) (piv.Card, error) {
	card, err := b.pivVirtual.openPIV(ctx, at)
	return copiedCard{card, b.shown}, err
}

type copiedCard struct {
	piv.Card
	shown *x509.Certificate
}

func (c copiedCard) Attest(context.Context, piv.Slot) (*x509.Certificate, error) { return c.shown, nil }

// TestAttestCopied: certificates are no secret; who shows those of another key must sign with its key.
func TestAttestCopied(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.plugPIV(vkey.YubiKey543, pivapplet.Options{})
	r.must("init")
	roots := r.roots(pivapplet.TestCA())
	if _, code := r.answers("--roots", roots); code != exitDone {
		t.Fatal(r.err.String())
	}
	kept, err := r.open().Attestation(t.Context(), rigSerial)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := x509.ParseCertificate(kept.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	r.plugPIV(vkey.YubiKey543, pivapplet.Options{}) // which says that it has the same number
	r.bus = copied{r.bus.(pivVirtual), shown}
	if p, code := r.answers("--roots", roots); code != exitIntegrity || p.Genuine || !strings.Contains(p.Refused, "of another key") {
		t.Errorf("exit code %d, %+v\n%s", code, p, r.err.String())
	}
}

// TestAttestRefuses: what gives no answer is not recorded as one.
func TestAttestRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.plugPIV(vkey.YubiKey543, pivapplet.Options{})
	r.must("init")
	roots := r.roots(pivapplet.TestCA())
	junk := filepath.Join(t.TempDir(), "junk")
	other := filepath.Join(t.TempDir(), "key")
	if os.WriteFile(junk, []byte("no certificate"), 0o600) != nil || os.WriteFile(other, []byte(strings.Repeat("11", 24)), 0o600) != nil {
		t.Fatal("files")
	}
	r.ends(exitUsage, "--roots is missing", "device", "attest")
	r.ends(exitUsage, "no certificate", "device", "attest", "--roots", junk)
	r.ends(exitUsage, "no slot", "device", "attest", "--roots", roots, "--slot", "f9")
	r.ends(exitUsage, "SERIAL", "device", "attest", "x", "--roots", roots)
	r.ends(exitNotFound, "99", "device", "attest", "99", "--roots", roots)
	r.ends(exitRefused, "management key", "device", "attest", "--roots", roots, "--management-key-file", other)
	card, err := openApplet(t.Context(), virtualBus{r.key, 2}, usbhid.Attached{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = card.Generate(t.Context(), piv.DefaultManagementKey(), piv.Authentication, piv.KeySpec{Algorithm: piv.P256, PIN: piv.PINOnce, Touch: piv.TouchNever})
	if err := errors.Join(err, card.Close()); err != nil {
		t.Fatal(err)
	}
	r.ends(exitRefused, "may be copies", "device", "attest", "--roots", roots, "--slot", "9a")
	r.plugPIV(vkey.YubiKeyNEO, pivapplet.Options{})
	if code := r.run("device", "attest", "--roots", roots); code == exitDone {
		t.Error("firmware 3 attests")
	}
	if _, err := r.open().Attestation(t.Context(), rigSerial); err == nil {
		t.Error("an answer is kept")
	}
}

// TestAttestKeeps: a key that somebody put into a slot stays there, also where an attestation is asked of just that slot.
func TestAttestKeeps(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	app := r.plugPIV(vkey.YubiKey571, pivapplet.Options{})
	roots := r.roots(pivapplet.TestCA())
	for _, slot := range []byte{0x9A, byte(spareSlot)} {
		card, err := openApplet(t.Context(), virtualBus{r.key, 2}, usbhid.Attached{})
		if err != nil {
			t.Fatal(err)
		}
		c := card.(*appletCard)
		if err := c.Authenticate(t.Context(), piv.DefaultManagementKey()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.send(t.Context(), 0xFE, byte(piv.P256), slot, append([]byte{6, 32}, bytes.Repeat([]byte{7}, 32)...)...); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r.ends(exitRefused, "was not generated there", "device", "attest", "--roots", roots, "--slot", "95")
	if p, code := r.answers("--roots", roots); code != exitDone || p.Slot != "94" || p.Left != "" {
		t.Errorf("%d, %+v\n%s", code, p, r.err.String())
	}
	for _, slot := range []byte{0x9A, byte(spareSlot)} {
		if s, there := app.Slot(slot); !there || s.Generated {
			t.Errorf("the key in slot %02x is gone, or another", slot)
		}
	}
	if _, there := app.Slot(0x94); there {
		t.Error("the spare key is left")
	}
	card, err := openApplet(t.Context(), virtualBus{r.key, 2}, usbhid.Attached{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = card.Generate(t.Context(), piv.DefaultManagementKey(), piv.CardAuthentication, piv.KeySpec{Algorithm: piv.P256, PIN: piv.PINNever, Touch: piv.TouchNever})
	if err := errors.Join(err, card.Close()); err != nil {
		t.Fatal(err)
	}
	if p, code := r.answers("--roots", roots); code != exitDone || p.Slot != "9e" {
		t.Errorf("%d, %+v\n%s", code, p, r.err.String())
	}
	if _, there := app.Slot(byte(piv.CardAuthentication)); !there {
		t.Error("the key that was asked is gone")
	}
}

// TestIntake: where the site wants it, provision writes genuine keys only, and asks each once.
func TestIntake(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	app := r.plugPIV(vkey.YubiKey571, pivapplet.Options{})
	r.must("init")
	r.ends(exitUsage, "--roots is missing", "device", "genuine", "require")
	roots := r.roots(pivapplet.TestCA())
	r.ends(exitDone, "proven genuine", "device", "genuine", "require", "--roots", roots)
	r.ends(exitDone, "must be proven genuine: by tester", "device", "genuine", "show")
	r.must("provision", "--slot", "2")
	r.agree(2, 1)
	r.agree(2, 1)
	if k, err := r.open().Attestation(t.Context(), rigSerial); err != nil || !k.Genuine() {
		t.Errorf("not recorded: %+v, %v", k, err)
	}
	app.ResetCounts()
	r.must("provision", "--slot", "1", "--public-id", "random", "--verify", "none")
	if n := app.Counts().Generated; n > 0 {
		t.Errorf("a key that is known was asked again: %d generated", n)
	}
	r.must("device", "genuine", "require", "--roots", r.roots(pivapplet.NewCA("Somebody")))
	r.ends(exitRefused, "unknown authority", "provision", "--slot", "1", "--public-id", "random", "--verify", "none")
	r.ends(exitDone, "whether they are genuine or not", "device", "genuine", "lift")

	fake := newRig(t, 2)
	fake.plugPIV(vkey.YubiKey571, pivapplet.Options{CA: pivapplet.NewCA("Somebody")})
	fake.must("init")
	fake.must("device", "genuine", "require", "--roots", roots)
	fake.must("provision", "--slot", "2", "--dry-run")
	if n := pivapplet.Of(fake.key).Counts().Generated; n > 0 {
		t.Error("a dry run generates a key")
	}
	fake.ends(exitRefused, "key 7654321 is not written: the attestation does not prove a genuine key", "provision", "--slot", "2")
	if fake.key.Slot(2).Kind != vkey.Empty {
		t.Error("it was written")
	}
	fake.ends(exitRefused, "is not written", "provision", "--oath", "site:ada")
	fake.must("device", "genuine", "lift")
	fake.must("provision", "--slot", "2")
}
