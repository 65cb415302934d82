package pivhw

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// carrier is the card of a virtual key.
func carrier(k *vkey.Key) apdu.Transmitter {
	card := k.Card()
	return apdu.TransmitFunc(func(_ context.Context, command []byte) ([]byte, error) { return card.Transmit(command) })
}

// TestApplet reads and changes virtual keys by our own commands.
func TestApplet(t *testing.T) {
	t.Parallel()
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey435, vkey.YubiKey527, vkey.YubiKey543, vkey.YubiKey571} {
		t.Run(p.Version.String(), func(t *testing.T) {
			t.Parallel()
			k := vkey.New(p, vkey.Options{Serial: testSerial})
			app := pivapplet.Install(k, pivapplet.Options{})
			a, err := selectApplet(t.Context(), carrier(k), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			f, err := a.facts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			known := piv.Unknown
			if f.Metadata() {
				known = piv.Yes
			}
			if f.Serial != testSerial || f.PIN.Left != 3 || f.PIN.Default != known || f.PUK.Default != known || f.Management.Default != piv.Yes || len(f.Keys) != 0 || f.CHUID {
				t.Errorf("new: %+v", f)
			}
			changeObjects(t, a)
			if n := app.Counts(); n.PINTried+n.PUKTried > 0 {
				t.Errorf("reading it tried: %+v", n)
			}
			err = a.deleteKey(t.Context(), piv.Authentication)
			if old := !f.Version.AtLeast(5, 7, 0); old != errors.As(err, new(*piv.UnsupportedError)) || !old && err != nil {
				t.Errorf("delete: %v", err)
			}
			app.Burn(0, 0)
			if f, err = a.facts(t.Context()); err != nil || !f.PIN.Blocked() || f.Metadata() && !f.PUK.Blocked() {
				t.Errorf("blocked: %+v, %v", f.PIN, err)
			}
			verifiedBefore(t, k, app, a)
		})
	}
}

// verifiedBefore reads the tries while the PIN is still verified from before.
func verifiedBefore(t *testing.T, k *vkey.Key, app *pivapplet.Applet, a *applet) {
	app.Burn(3, 3)
	if answer, err := k.Card().Transmit(append([]byte{0, 0x20, 0, 0x80, 8}, "123456\xff\xff"...)); err != nil || !bytes.Equal(answer, []byte{0x90, 0}) {
		t.Fatalf("%x, %v", answer, err)
	}
	if n, err := a.pinTries(t.Context()); n != 3 || err != nil {
		t.Errorf("with the PIN verified: %d tries, %v", n, err)
	}
}

func changeObjects(t *testing.T, a *applet) {
	ctx := t.Context()
	if err := a.putObject(ctx, piv.CHUID, []byte("x")); err == nil && !a.proven {
		t.Error("written without the management key")
	}
	if err := a.authenticate(ctx, secret.Copy(bytes.Repeat([]byte("0123456789ab"), 2))); !errors.Is(err, piv.ErrManagementKey) {
		t.Errorf("a wrong management key: %v", err)
	}
	if err := a.authenticate(ctx, secret.Copy([]byte("short"))); !errors.Is(err, piv.ErrManagementKey) {
		t.Errorf("a short management key: %v", err)
	}
	if err := a.authenticate(ctx, piv.DefaultManagementKey()); err != nil {
		t.Fatal(err)
	}
	long := bytes.Repeat([]byte{7}, 1500)
	if err := a.putObject(ctx, piv.CHUID, long); err != nil {
		t.Fatal(err)
	}
	if got, err := a.object(ctx, piv.CHUID); !bytes.Equal(got, long) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := a.putObject(ctx, piv.CHUID, nil); err != nil {
		t.Error(err)
	}
	if got, err := a.object(ctx, piv.CHUID); got != nil || err != nil {
		t.Errorf("removed: %d bytes, %v", len(got), err)
	}
}

// TestNoApplet: a key without PIV says so.
func TestNoApplet(t *testing.T) {
	t.Parallel()
	if _, err := selectApplet(t.Context(), carrier(vkey.New(vkey.YubiKey543, vkey.Options{})), rand.Reader); !errors.Is(err, piv.ErrNoApplet) {
		t.Errorf("got %v", err)
	}
}

// TestCardThatLies: a card that does not know the management key is not believed.
func TestCardThatLies(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey571, vkey.Options{})
	pivapplet.Install(k, pivapplet.Options{})
	honest := carrier(k)
	a, err := selectApplet(t.Context(), apdu.TransmitFunc(func(ctx context.Context, command []byte) ([]byte, error) {
		answer, err := honest.Transmit(ctx, command)
		if command[1] == insAuthenticate && len(answer) > 8 {
			answer[6] ^= 1
		}
		return answer, err
	}), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.authenticate(t.Context(), piv.DefaultManagementKey()); !errors.Is(err, piv.ErrManagementKey) || a.proven {
		t.Errorf("got %v", err)
	}
}

// TestReadCertificate: packed ones are unpacked, to a bound.
func TestReadCertificate(t *testing.T) {
	t.Parallel()
	der := pivapplet.TestCA().Root().Raw
	object := func(der []byte, info byte) []byte {
		return apdu.AppendTLV(apdu.AppendTLV(nil, tagCertificate, der), tagInfo, []byte{info})
	}
	for name, value := range map[string][]byte{"plain": object(der, 0), "packed": object(packed(t, der), 1), "without info": apdu.AppendTLV(nil, tagCertificate, der)} {
		if c, err := readCertificate(value); err != nil || !bytes.Equal(c.Raw, der) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, value := range map[string][]byte{"nothing": nil, "empty": object(nil, 0), "a bomb": object(packed(t, make([]byte, 20<<20)), 1), "not packed": object(der, 1)} {
		if _, err := readCertificate(value); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func packed(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestOnCard(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": false, "\x80\x00": false, "\x80\x03\x81\x01\x01": false, "\x80\x03\x81\x01\x02": true, "\x80\x03\x81\x01\x03": true, "\x80\x04\x82\x02ab": true, "\x80": false,
	} {
		if onCard([]byte(text)) != want {
			t.Errorf("%x: %v", text, !want)
		}
	}
}

// FuzzFacts lets a hostile card answer the whole reading: it ends, and what it says holds together.
func FuzzFacts(f *testing.F) {
	f.Add([]byte{5, 4, 3, 0x90, 0}, []byte{0x05, 1, 1, 0x06, 2, 3, 3, 0x90, 0})
	f.Add([]byte{4, 3, 5, 0x90, 0}, []byte{0x63, 0xC3})
	f.Add([]byte{5, 7, 1, 0x90, 0}, append(apdu.AppendTLV(nil, tagValue, apdu.AppendTLV(nil, tagCertificate, pivapplet.TestCA().Root().Raw)), 0x90, 0))
	f.Add([]byte{5, 7, 1, 0x90, 0}, append(apdu.AppendTLV(apdu.AppendTLV(nil, metaAlgorithm, []byte{0x11}), metaPublic, apdu.AppendTLV(nil, tagPoint, make([]byte, 65))), 0x61, 0))
	f.Fuzz(func(t *testing.T, version, answer []byte) {
		asked := 0
		a, err := selectApplet(t.Context(), apdu.TransmitFunc(func(_ context.Context, command []byte) ([]byte, error) {
			asked++
			if command[1] == insVersion {
				return version, nil
			}
			if command[1] == 0xA4 {
				return []byte{0x90, 0}, nil
			}
			return bytes.Clone(answer), nil
		}), rand.Reader)
		if err != nil {
			return
		}
		got, err := a.facts(t.Context())
		if asked > 100000 {
			t.Errorf("%d commands", asked)
		}
		if err != nil {
			return
		}
		for _, k := range got.Keys {
			if k.Key != piv.Yes && !k.Object {
				t.Errorf("a slot without anything: %+v", k)
			}
			if known, ok := piv.AlgorithmOf(k.Public); k.Public != nil && ok && known != k.Algorithm {
				t.Errorf("a key of %v that is one of %v", k.Algorithm, known)
			}
		}
	})
}
