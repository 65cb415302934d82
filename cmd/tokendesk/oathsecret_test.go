package main

import (
	"bytes"
	"encoding/base32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestNoSecretOfAccounts runs commands about accounts, good and bad, and looks for every secret that came into being, in what was said and in
// the clear in the store's files.
func TestNoSecretOfAccounts(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	dir := t.TempDir()
	const seed, foreign, typed, wrong = "KRUGKIDROVUWG2ZAMJZG653OEBTG66BA", "NJ2W24DTEBXXMZLSEB2GQZJANRQXU6JA", "correct horse battery", "wrong horse staple"
	files := map[string]string{
		"uri":  "otpauth://totp/GitHub:ada?issuer=GitHub&secret=" + foreign,
		"kept": "otpauth://hotp/Portal:ada?issuer=Portal&counter=3&digits=8&secret=" + seed,
		"bad":  "otpauth://totp/GitHub:ada?issuer=GitHub&digits=11&secret=" + foreign,
		"word": typed, "wrong": wrong,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		files[name] = filepath.Join(dir, name)
	}
	r.must("init")
	r.must("oath", "add", "Example:ada")
	r.must("oath", "add", "--uri-file", files["uri"])
	r.must("oath", "add", "--uri-file", files["kept"], "--register")
	r.run("oath", "add", "--uri-file", files["kept"], "--register", "Portal:other")
	r.run("oath", "add", "--uri-file", files["bad"])
	r.must("oath", "password", "--new-password-file", files["word"])
	r.must("oath", "password", "--random")
	card := oathapplet.Of(r.key)
	r.run("oath", "list", "--password-file", files["wrong"])
	card.SetFaults(oathapplet.Faults{INS: 0x01, LeaveAfter: 1})
	r.run("oath", "add", "Example:open")
	r.key.Plug()
	r.must("provision", "resume", "--dry-run", "-o", "json")
	r.must("provision", "resume")
	for _, words := range []string{"oath list", "token show 7654321", "device info", "audit list --last 0", "audit list --raw", "doctor"} {
		for _, form := range []string{"table", "json", "csv"} {
			r.run(append(strings.Fields(words), "-o", form)...)
		}
	}
	all := []named{{name: "seed of a URI", text: seed}, {name: "seed of a service", text: foreign}, {name: "password", text: typed}, {name: "wrong password", text: wrong}}
	st := r.open()
	kept, err := st.Escrows(t.Context(), rigSerial, token.OATHPassword)
	if err != nil || len(kept) != 1 {
		t.Fatalf("%d passwords, %v", len(kept), err)
	}
	all = append(all, named{name: "drawn password", text: string(kept[0].Secret.Reveal())})
	_, live, err := st.Slots(t.Context(), rigSerial)
	if err != nil || len(live) != 3 {
		t.Fatalf("%d accounts, %v", len(live), err)
	}
	for _, c := range live {
		key := c.Secrets.Key.Reveal()
		all = append(all, named{name: "seed", raw: bytes.Clone(key)}, named{name: "seed", text: strings.TrimRight(base32.StdEncoding.EncodeToString(key), "=")})
	}
	r.search(all)
}
