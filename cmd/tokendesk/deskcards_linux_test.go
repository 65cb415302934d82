//go:build cgo && !nopcsc

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/token"
)

// TestDeskPIV has a desk put an account and PIV on a key, over Debian's pcscd. It is killed in the middle of PIV, and the next desk goes on, with
// the secrets that the store has, and hands a letter over with the PIN that the key has.
func TestDeskPIV(t *testing.T) {
	t.Parallel()
	k := newPIVKey(t, vkey.YubiKey543)
	k.r.must("person", "add", "ada")
	k.r.must("provision", "profile", "add", "staff", "--oath", "Example:{account}", "--piv", "yes", "--piv-slot", "9a", "--piv-self-signed", "yes", "--language", "de")
	keys, letters, receipts := serveKey(t, k.r), filepath.Join(t.TempDir(), "letters"), filepath.Join(t.TempDir(), "receipts")
	desk := func(lines ...string) *exec.Cmd {
		cmd := k.command("provision", "desk", "--profile", "staff", "--pin-letters", letters, "--print", receipts, "-o", "json")
		cmd.Env = append(cmd.Env, "KEYS="+keys, "TICK=10ms", "TOUCH=2 2 2")
		cmd.Stdin = strings.NewReader(strings.Join(append(lines, "next", ""), "\n"))
		return cmd
	}
	cmd := desk("ada", "staff-card")
	cmd.Env = append(cmd.Env, fmt.Sprint("STOP_PIV=", 4))
	cmd.Stdout = &k.r.out
	if !k.r.stopped(cmd, 4) {
		t.Fatalf("it was not killed\n%s%s", k.r.out.String(), k.r.err.String())
	}
	k.known()
	if files, err := os.ReadDir(letters); err != nil || len(files) != 0 {
		t.Fatalf("%d letters before the PIN, %v", len(files), err)
	}
	cmd = desk("ada", "second", "staff-card", "finish")
	said, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{`"event":"issued".*"account":"ada".*"recovered":true`, `"event":"card".*"card":"piv"`, `"event":"equipped".*"accounts":\["Example:ada"\],"piv":true`} {
		if !regexp.MustCompile(want).Match(said) {
			t.Errorf("no %s in\n%s", want, said)
		}
	}
	files, err := os.ReadDir(letters)
	if err != nil || len(files) != 1 {
		t.Fatalf("%d letters, %v", len(files), err)
	}
	text, err := os.ReadFile(filepath.Join(letters, files[0].Name()))
	pin, _ := k.kept(token.PIVPIN)
	if err != nil || len(pin) != 1 || !strings.Contains(string(text), "PIN         "+pin[0]+"\n") || !k.app.HoldsPIN(pin[0]) {
		t.Errorf("the letter is not of the key's PIN, %v:\n%s", err, text)
	}
	if strings.Contains(string(said), pin[0]) {
		t.Error("the desk says the PIN")
	}
	if info, err := os.Stat(filepath.Join(letters, files[0].Name())); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	k.known()
	k.settled()
	if told := k.told(); len(told.Slots) != 1 || told.Slots[0].Certificate.Subject != "CN=ada" {
		t.Errorf("%+v", told.Slots)
	}
	first, err := os.ReadFile(filepath.Join(receipts, "R-1.txt"))
	k.r.must("provision", "receipt", "ada", "--language", "de")
	for name, text := range map[string]string{"receipt": string(first), "copy": k.r.out.String()} {
		if named := regexp.MustCompile(`Einmalcodes für: Example:ada\nZertifikat: +CN=ada \(Slot 9a, bis \d\d\.\d\d\.\d{4}\)\n`); err != nil || len(named.FindAllString(text, -1)) != 2 {
			t.Errorf("%s, %v:\n%s", name, err, text)
		}
	}
	if certs, err := k.st.Certificates(t.Context(), rigSerial); err != nil || len(certs) != 1 || certs[0].Slot != "9a" {
		t.Errorf("the next desk would take it for unfinished: %+v, %v", certs, err)
	}
	k.r.must("audit", "verify")
}

// TestDeskPIVFinish: killed after the PIN was set, before the key or before the letter, a desk without a certificate to miss finishes the same key
// and hands the letter over; after that nothing is left to finish.
func TestDeskPIVFinish(t *testing.T) {
	t.Parallel()
	for name, moment := range map[string]int{"before the key": 11, "before the request and the letter": 12} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newPIVKey(t, vkey.YubiKey543)
			k.r.must("person", "add", "ada")
			profile, requests := []string{"provision", "profile", "add", "staff", "--piv", "yes", "--piv-slot", "9a"}, filepath.Join(t.TempDir(), "requests")
			where := []string{"provision", "desk", "--profile", "staff", "-o", "json"}
			if moment == 12 {
				profile, where = append(profile, "--piv-csr", "yes", "--piv-subject", "CN={account},O=Example"), append(where, "--requests", requests)
			}
			k.r.must(profile...)
			keys, letters := serveKey(t, k.r), filepath.Join(t.TempDir(), "letters")
			desk := func(lines ...string) *exec.Cmd {
				cmd := k.command(append(where, "--pin-letters", letters)...)
				cmd.Env = append(cmd.Env, "KEYS="+keys, "TICK=10ms", "TOUCH=2 2 2")
				cmd.Stdin = strings.NewReader(strings.Join(append(lines, "next", ""), "\n"))
				return cmd
			}
			cmd := desk("ada", "staff-card")
			cmd.Env = append(cmd.Env, fmt.Sprint("STOP_PIV=", moment))
			if !k.r.stopped(cmd, moment) {
				t.Fatal("it was not killed")
			}
			if pin, _ := k.kept(token.PIVPIN); len(pin) != 1 || !k.app.HoldsPIN(pin[0]) {
				t.Fatalf("the PIN was not set: %d kept", len(pin))
			}
			if files, err := os.ReadDir(letters); err != nil || len(files) != 0 {
				t.Fatalf("%d letters, %v", len(files), err)
			}
			said, err := desk("ada", "second", "staff-card", "finish").Output()
			if err != nil || !regexp.MustCompile(`"event":"equipped".*"piv":true`).Match(said) {
				t.Fatalf("%v\n%s", err, said)
			}
			if files, err := os.ReadDir(letters); err != nil || len(files) != 1 {
				t.Errorf("%d letters, %v", len(files), err)
			}
			if text, err := os.ReadFile(filepath.Join(requests, "request-7654321-9a-R-1.pem")); moment == 12 && (err != nil || !isRequest(text) || requestIn(text).Subject.String() != "CN=ada,O=Example") {
				t.Errorf("%v\n%s", err, text)
			}
			k.settled()
			if told := k.told(); len(told.Slots) != 1 || told.Slots[0].Slot != "9a" {
				t.Errorf("%+v", told.Slots)
			}
			if said, err := desk("ada", "second", "staff-card", "finish").Output(); err == nil {
				t.Errorf("finished again:\n%s", said)
			}
			if moment != 12 {
				return
			}
			k.r.must("provision", "profile", "add", "staff", "--change", "--oath", "Example:{account}", "--piv", "yes", "--piv-slot", "9a", "--piv-csr", "yes")
			said, err = desk("ada", "second", "staff-card", "finish").Output()
			if err != nil || !regexp.MustCompile(`"event":"equipped".*"accounts":\["Example:ada"\]`).Match(said) {
				t.Errorf("an account that it lacks: %v\n%s", err, said)
			}
			if files, err := os.ReadDir(letters); err != nil || len(files) != 1 {
				t.Errorf("PIV was whole, and its PIN is in %d letters, %v", len(files), err)
			}
		})
	}
}
