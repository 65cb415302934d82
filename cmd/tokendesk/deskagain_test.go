package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// TestDeskLacks: a key whose PIV application was cut off before its certificate or its letter, or wiped since, lacks something, and a store that is away says neither.
func TestDeskLacks(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	st := r.open()
	c := &deskCards{st: st, want: profile.Profile{Cards: profile.Cards{PIV: true, PIVSlot: "9a", PIVSelfSigned: true}}}
	lacks := func(want bool, how string) {
		t.Helper()
		have := provision.Have{Serial: rigSerial, Token: token.Token{Serial: rigSerial, Holder: &token.Person{Account: "ada"}}}
		if is, err := c.lacks(t.Context(), have, nil); err != nil || is != want {
			t.Errorf("%s: %t, %v", how, is, err)
		}
	}
	lacks(true, "nothing on it")
	id, err := st.KeepEscrow(t.Context(), rigSerial, token.PIVPIN, secret.New([]byte("482913")))
	if err == nil {
		lacks(true, "a PIN on its way")
		err = st.SettleEscrow(t.Context(), rigSerial, token.PIVPIN, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	lacks(true, "neither key nor letter")
	handOver := func() {
		t.Helper()
		if err := st.HandOverPIV(t.Context(), token.PIVHandover{Serial: rigSerial}); err != nil {
			t.Fatal(err)
		}
	}
	handOver()
	lacks(true, "no certificate")
	r.certificate()
	lacks(false, "all of it")
	if err := st.NotePIV(t.Context(), rigSerial, "piv.reset", sqlstore.PIVEvent{Reason: "handed on"}); err != nil {
		t.Fatal(err)
	}
	lacks(true, "wiped")
	handOver()
	lacks(false, "set up again")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	var away *awayError
	if _, err := c.lacks(t.Context(), provision.Have{Serial: rigSerial, Token: token.Token{Holder: &token.Person{Account: "ada"}}}, nil); !errors.As(err, &away) {
		t.Errorf("a store that is away: %v", err)
	}
}

// TestReceiptAgain: what was printed stays, and a key that was finished later has another sheet, which names all that is on it.
func TestReceiptAgain(t *testing.T) {
	t.Parallel()
	press, err := openPress("")
	if err != nil {
		t.Fatal(err)
	}
	p := printer{press: press, dir: t.TempDir()}
	const long = "CN=ada,OU=Department of Applied Astronomy and everything else there is,O=Example"
	r := paper.Receipt{Number: "R-1", Name: "Ada", Account: "ada", Language: "en", Way: paper.Handed, Token: paper.Subject{Model: "YubiKey", Serial: 7, Slot: 2, Kind: token.YubicoOTP}}
	for _, x := range []struct {
		accounts []string
		subject  string
		sheet    string
	}{
		{nil, "", "R-1"}, {[]string{"Example:ada"}, "", "R-1-2"}, {[]string{"Example:ada"}, "", "R-1-2"}, {[]string{"Example:ada", "Portal:ada"}, "", "R-1-3"}, {nil, "", "R-1"},
		{nil, long, "R-1-4"}, {nil, long, "R-1-4"},
	} {
		r.Accounts = x.accounts
		if x.subject != "" { // which is broken on paper
			r.Certificates = []paper.Certificate{{Slot: "9a", Subject: x.subject}}
		}
		papers, err := p.print(t.Context(), r)
		if err != nil || !slices.Equal(papers, []string{filepath.Join(p.dir, x.sheet+".pdf")}) {
			t.Fatalf("%q: %q, %v", x.accounts, papers, err)
		}
		text, err := os.ReadFile(filepath.Join(p.dir, x.sheet+".txt"))
		for _, a := range x.accounts {
			if err != nil || !strings.Contains(string(text), a) {
				t.Errorf("%s does not name %s, %v", x.sheet, a, err)
			}
		}
	}
}
