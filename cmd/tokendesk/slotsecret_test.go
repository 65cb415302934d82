package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSlotSecretsDoNotPrint runs the slot commands in all forms and looks for every secret that a slot had, and for what it types.
func TestSlotSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	const password = "Gruesse, 7 Baeume!"
	given := map[string]string{"password": password, "key": "303132333435363738393a3b3c3d3e3f40414243", "code": "a1b2c3d4e5f6"}
	for name, text := range given {
		given[name] = writeLine(t, text)
	}
	all := []named{{name: "password", text: password}, {name: "given key", text: "303132333435363738393a3b3c3d3e3f40414243"}, {name: "access code", text: "a1b2c3d4e5f6"}}
	program := func(kind string, more ...string) []string {
		return append([]string{"slot", "program", "--slot", "2", "--type", kind}, more...)
	}
	for _, words := range [][]string{
		program("hotp", "--key-file", given["key"]), program("hotp"), program("static", "--layout", "us", "--password-file", given["password"]),
		program("static", "--length", "20"), program("static", "--password", "ticket"), program("challenge-response"),
		program("challenge-response", "--challenge", "yubico"), program("yubico-otp", "--access-code", "given", "--new-code-file", given["code"]),
	} {
		for _, form := range []string{"table", "json", "csv"} {
			r.run(append(words, "-o", form, "--dry-run")...)
		}
		r.must(words...)
		for _, show := range []string{"slot list", "slot show 7654321 --slot 2", "token show 7654321", "provision resume --dry-run", "slot settings --slot 2 --led-inv", "slot access-code change --slot 2"} {
			for _, form := range []string{"table", "json", "csv"} {
				r.run(append(strings.Fields(show), "-o", form)...)
			}
		}
		all = append(all, r.slotSecrets(t)...)
	}
	r.run(program("static", "--layout", "de", "--password-file", writeLine(t, password+"@"))...)
	r.must("slot", "erase", "--slot", "2", "--yes")
	r.run("audit", "list", "--last", "0", "-o", "json")
	if len(all) < 20 {
		t.Fatalf("%d secrets", len(all))
	}
	r.search(all)
}

// writeLine makes a file of one line and returns its name.
func writeLine(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "line")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// slotSecrets are those of slot 2 now, and what a touch types, if that stays the same.
func (r *rig) slotSecrets(t *testing.T) []named {
	t.Helper()
	_, live, err := r.open().Slots(t.Context(), rigSerial)
	if err != nil || len(live) != 1 {
		t.Fatalf("%d credentials, %v", len(live), err)
	}
	var all []named
	for what, raw := range map[string][]byte{
		"key": live[0].Secrets.Key.Reveal(), "private ID": live[0].Secrets.PrivateID.Reveal(), "access code": live[0].Secrets.AccessCode.Reveal(),
	} {
		if len(raw) > 0 {
			all = append(all, named{name: string(live[0].Kind) + "'s " + what, raw: bytes.Clone(raw)})
		}
	}
	if live[0].Kind == "static" {
		all = append(all, named{name: "static password", text: r.typed(2)})
	}
	return all
}
