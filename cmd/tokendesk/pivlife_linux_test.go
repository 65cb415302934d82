//go:build cgo && !nopcsc

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestPIVLife takes a key with nothing but PIV through its life: given, lost with a certificate, taken back, wiped.
func TestPIVLife(t *testing.T) {
	t.Parallel()
	k := newPIVKey(t, vkey.YubiKey543)
	for _, account := range []string{"ada", "bob"} {
		k.says(exitDone, "", "person", "add", account)
	}
	provision := func(more ...string) []string {
		return append([]string{"provision", "--piv", "--serial", k.serial().String(), "--transport", "ccid"}, more...)
	}
	k.says(exitDone, "dry run", provision("--to", "ada", "--dry-run")...)
	k.says(exitNotFound, "", "token", "show", k.serial().String())
	k.says(exitDone, "is ada's", provision("--to", "ada", "--piv-slot", "9c", "--piv-self-signed")...)
	if got := k.shown("show"); got.State != token.Active || got.Holder != "ada" || got.Issued == nil || len(got.Certificates) != 1 || !got.Certificates[0].SelfSigned {
		t.Errorf("given: %+v", got)
	}
	k.says(exitRefused, "held by another person", provision("--to", "bob")...)
	k.says(exitDone, "nothing is to be done", provision("--to", "ada")...) // again
	number := k.certified("9a", "ada.crt")
	k.says(exitDone, "have it revoked there", "token", "show", "ada")
	k.seenAgain()
	said := k.says(exitDone, "is blocked: no server", "token", "block", "ada", "--reason", "stolen")
	for _, want := range []string{
		"certificate " + number + " of CN=Site CA,O=Example in slot 9a: have it revoked there\n", "of CN=ada in slot 9c: remove its trust where it was trusted\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("block does not say %q:\n%s", want, said)
		}
	}
	if got := k.shown("block", "--reason", "stolen"); got.State != token.Lost || len(got.Certificates) != 2 || got.Certificates[0].Number != number || got.Certificates[0].Do != "have it revoked there" {
		t.Errorf("blocked: %+v", got)
	}
	k.says(exitRefused, "blocked", provision("--to", "ada")...)
	k.all.Reset() // what follows is handed out
	k.says(exitDone, "PIN", "piv", "secret", "ada", "--what", "pin", "--reason", "asked")
	k.all.Reset()
	if said := k.says(exitDone, "piv reset --serial", "token", "return", "ada"); !strings.Contains(said, "have it revoked there") {
		t.Errorf("return names no certificate:\n%s", said)
	}
	k.refused(exitUsage, "--reason", "generate", "9a", "--overwrite")
	k.refused(exitRefused, "--yes", "generate", "9a", "--overwrite", "--reason", "returned")
	k.must("generate", "9a", "--overwrite", "--reason", "nobody needs it", "--yes")
	k.says(exitDone, "nobody needs it", "audit", "list")
	if got := k.shownAs(k.serial().String(), "show"); got.State != token.Pending || got.Holder != "" || len(got.Certificates) != 1 {
		t.Errorf("another key in 9a: %+v", got)
	}
	k.must("reset", "--reason", "returned", "--yes")
	k.says(exitDone, "is bob's", provision("--to", "bob")...)
	if got := k.shownAs("bob", "show"); got.State != token.Active || len(got.Certificates) != 0 {
		t.Errorf("wiped: %+v", got)
	}
	k.openForBob(provision("--to", "ada", "--reassign"))
	k.must("generate", "9a", "--self-signed", "--subject", "bob")
	said = k.says(exitDone, "was bob's before\n", provision("--to", "ada", "--reassign", "--piv-slot", "9c", "--piv-self-signed")...)
	if !strings.Contains(said, "of CN=bob in slot 9a: remove its trust where it was trusted\n") || strings.Contains(said, "in slot 9c: remove") {
		t.Errorf("taken from bob, and other certificates are named than his:\n%s", said)
	}
	k.toldOfTheirs()
	k.says(exitDone, "is given up", "token", "retire", "ada", "--note", "shredded", "--yes")
	k.says(exitDone, "intact", "audit", "verify")
	k.silent()
}

// openForBob: a write that is open for the holder would take the key back from whom it is given to. Nothing is done to the key before.
func (k pivKey) openForBob(reassign []string) {
	k.t.Helper()
	e, err := k.st.Reserve(k.t.Context(), token.Reservation{Serial: k.serial(), Slot: 2, Kind: token.HOTP, Proof: token.ByTouch})
	if err == nil {
		k.says(exitRefused, "provision resume", reassign...)
		err = k.st.Abort(k.t.Context(), e.ID, token.Reserved, "", nil)
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// toldOfTheirs: each is told of the certificate that was bob's in 9a, and ada's in 9c.
func (k pivKey) toldOfTheirs() {
	k.t.Helper()
	if err := k.st.LoseCertificates(k.t.Context(), k.serial(), ""); err != nil {
		k.t.Fatal(err)
	}
	all, err := k.st.Notices(k.t.Context(), false)
	if err != nil {
		k.t.Fatal(err)
	}
	var got []string
	for _, n := range all[max(0, len(all)-2):] {
		got = append(got, fmt.Sprint(n.To.Account, " ", n.Kind, n.Facts.Certificates))
	}
	if want := []string{"bob erased[9a]", "ada erased[9c]"}; !slices.Equal(got, want) {
		k.t.Errorf("told %q, want %q", got, want)
	}
}

// seenAgain: a run that was interrupted left the store behind the key. The next one sees what is there, and what is not.
func (k pivKey) seenAgain() {
	k.t.Helper()
	if err := k.st.LoseCertificates(k.t.Context(), k.serial(), ""); err != nil {
		k.t.Fatal(err)
	}
	wiped := token.Certificate{Serial: k.serial(), Slot: "9d", Issuer: "CN=Site CA", Number: "1", Subject: "CN=ada", NotAfter: time.Now().Add(time.Hour),
		SHA256: strings.Repeat("a", 64), PublicKey: strings.Repeat("b", 64)}
	if err := k.st.KeepCertificate(k.t.Context(), wiped); err != nil {
		k.t.Fatal(err)
	}
	k.must("init")
	if got := k.shown("show").Certificates; len(got) != 2 || got[0].Slot != "9a" || got[1].Slot != "9c" {
		k.t.Errorf("seen again: %+v", got)
	}
}

// TestPIVSeen: what another program did to a key is seen, and no certificate is forgotten whose key is on it.
func TestPIVSeen(t *testing.T) {
	t.Parallel()
	k := newPIVKey(t, vkey.YubiKey543)
	s := &pivSession{st: k.st, facts: piv.Facts{Serial: k.serial()}}
	first, second := madeKey(t, "first"), madeKey(t, "second")
	at := func(slot piv.Slot, key, c *x509.Certificate) piv.KeyFacts {
		f := piv.KeyFacts{Slot: slot, Key: piv.No, Object: c != nil, Certificate: c}
		if key != nil {
			f.Key, f.Public = piv.Yes, key.PublicKey
		}
		return f
	}
	const retired = piv.Slot(0x82)
	for _, tc := range []struct {
		name string
		keys []piv.KeyFacts
		want []string
	}{
		{"one", []piv.KeyFacts{at(piv.Authentication, first, first)}, []string{"9a first"}},
		{"moved, its certificate left behind", []piv.KeyFacts{at(piv.Authentication, nil, first), at(retired, first, nil)}, []string{"82 first"}},
		{"another in its place", []piv.KeyFacts{at(piv.Authentication, second, second), at(retired, first, nil)}, []string{"82 first", "9a second"}},
		{"swapped", []piv.KeyFacts{at(piv.Authentication, first, nil), at(retired, second, nil)}, []string{"82 second", "9a first"}},
		{"a certificate of no key on it", []piv.KeyFacts{at(piv.Authentication, first, second)}, []string{"9a first"}},
		{"made anew", []piv.KeyFacts{at(piv.Authentication, second, second)}, []string{"9a second"}},
		{"wiped", nil, nil},
	} {
		f := piv.Facts{Serial: k.serial(), Version: ykslot.Version{Major: 5, Minor: 7}, Keys: tc.keys}
		if err := s.noteSeen(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		list, err := s.liveCertificates(t.Context(), k.serial())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append(got, c.Slot+" "+strings.TrimPrefix(c.Subject, "CN="))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// madeKey is a self-signed certificate of a new key.
func madeKey(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err == nil {
		c, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// says calls the program and wants an exit code and something said.
func (k pivKey) says(code exitCode, want string, words ...string) string {
	k.t.Helper()
	said, got := k.run(words...)
	k.all.WriteString(said)
	if got != code || !strings.Contains(said, want) {
		k.t.Errorf("%q: exit code %d, want %d and %q\n%s", words, got, code, want, said)
	}
	return said
}

// shown is what a command of ada's token shows.
func (k pivKey) shown(verb string, more ...string) tokenRow { return k.shownAs("ada", verb, more...) }

func (k pivKey) shownAs(query, verb string, more ...string) tokenRow {
	k.t.Helper()
	out, err := k.command(append([]string{"token", verb, query, "-o", "json"}, more...)...).Output()
	var answer struct{ Token tokenRow }
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		k.t.Fatalf("token %s: %v\n%s", verb, err, out)
	}
	return answer.Token
}

// certified has an authority issue a certificate for a key in a slot, stores it, and returns its number.
func (k pivKey) certified(slot, name string) string {
	k.t.Helper()
	csr := k.path(name + ".csr")
	k.must("generate", slot, "--subject", "ada", "--csr", csr)
	text, err := os.ReadFile(csr)
	if err != nil {
		k.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	req, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		k.t.Fatal(err)
	}
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Site CA", Organization: []string{"Example"}}}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(0x4711ff), Subject: req.Subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, req.PublicKey, ca)
	if err != nil {
		k.t.Fatal(err)
	}
	k.must("import-cert", slot, k.file(name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))))
	return "4711ff"
}
