package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// TestNoSecretInOutput runs every command, good and bad, and looks for every secret that came into being: in what was said,
// in logs, tables, JSON and errors, and in the clear in the store's files. Hand-over outputs go elsewhere.
func TestNoSecretInOutput(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	r.must("init")
	r.must("person", "add", "ada")
	r.must("provision", "--slot", "2", "--to", "ada")
	client := r.handOver("client", "add", "mail", "-o", "json")
	r.drawn = append(r.drawn, r.staff()...)
	r.drawn = append(r.drawn, r.devices(file)...)
	r.run("provision", "--slot", "1")
	r.must("provision", "--slot", "1", "--public-id", "random", "--verify", "none")
	r.must("provision", "--slot", "2") // the former one is revoked
	r.must("keyfile", "export", "--format", "yubico-csv", "--plaintext", "--out", file("keys.csv"))
	r.run("keyfile", "export", "--for", "freeipa", "--plaintext", "--out", file("no.xml"))
	r.must("keyfile", "import", file("keys.csv"), "-o", "json")
	r.exportEverything(file)
	writeSpoiled(t, file("keys.csv"), file("spoiled.csv"))
	r.run("keyfile", "import", file("spoiled.csv"))
	for _, form := range []string{"table", "json", "csv"} {
		r.run("keyfile", "import", "--dry-run", file("keys.csv"), file("spoiled.csv"), "-o", form)
		r.run("keyfile", "inspect", file("spoiled.csv"), "-o", form)
	}
	var typed []string
	for _, words := range [][]string{
		{"verify"}, {"verify", "--dry-run", "-o", "json"}, {"token", "block", "ada", "--reason", "lost"}, {"verify"},
		{"token", "restore", "ada"}, {"token", "restore", "ada"}, {"verify", "-o", "csv"},
	} {
		otp := r.typed(2)
		typed = append(typed, otp)
		r.stdin = strings.NewReader(otp)
		r.run(words...)
	}
	r.run("token", "show", typed[0]) // an OTP as a query
	for _, words := range []string{
		"token list", "token show ada", "client list", "radius list", "operator list", "operator rights", "person list", "person show ada", "audit list --last 0", "audit verify", "doctor", "device list",
		"device info", "provision resume --dry-run", "version", "keyfile formats",
	} {
		for _, form := range []string{"table", "json", "csv"} {
			r.run(append(strings.Fields(words), "-o", form)...)
		}
	}
	r.run("audit", "list", "--raw")
	r.search(slices.Concat(r.secrets(client), typedSecrets(typed), r.drawn))
}

// staff makes what is handed over once: the key of a client that was rotated, and the API token of an operator who was revoked.
func (r *rig) staff() []named {
	r.t.Helper()
	var rotated struct{ Client newClient }
	var hopper struct{ Operator newOperator }
	r.must("client", "set", "mail", "--group", "staff", "--network", "127.0.0.1")
	for into, words := range map[any][]string{
		&rotated: {"client", "rotate", "mail", "-o", "json"}, &hopper: {"operator", "add", "hopper", "--role", "helpdesk", "-o", "json"},
	} {
		if err := json.Unmarshal(r.handOver(words...), into); err != nil {
			r.t.Fatal(err)
		}
	}
	r.run("client", "rotate", "mail")
	r.must("operator", "revoke", "hopper")
	key, err := base64.StdEncoding.DecodeString(rotated.Client.Key)
	if err != nil || len(hopper.Operator.Token) != 46 {
		r.t.Fatalf("an API token of %d characters, %v", len(hopper.Operator.Token), err)
	}
	return []named{{name: "rotated API key", raw: key}, {name: "operator's API token", text: hopper.Operator.Token}}
}

// devices are the secrets of devices that ask by RADIUS: drawn, dictated, and shared with another server.
func (r *rig) devices(file func(string) string) []named {
	r.t.Helper()
	all := []named{{name: "dictated secret", text: "what the device dictates"}, {name: "upstream secret", text: "shared with the other server"}}
	for i, name := range []string{"dictated", "upstream"} {
		if err := os.WriteFile(file(name), []byte(all[i].text+"\n"), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.must("radius", "add", "gate", "--client", "mail", "--network", "192.0.2.1", "--secret-file", file("dictated"), "--password", "upstream",
		"--upstream", "192.0.2.7:1812", "--upstream-secret-file", file("upstream"))
	for _, words := range [][]string{{"radius", "add", "mail", "--network", "192.0.2.2"}, {"radius", "rotate", "mail"}} {
		var answer struct{ Device newNAS }
		if err := json.Unmarshal(r.handOver(append(words, "-o", "json")...), &answer); err != nil || len(answer.Device.Secret) != 32 {
			r.t.Fatalf("a secret of %d characters, %v", len(answer.Device.Secret), err)
		}
		all = append(all, named{name: "shared secret", text: answer.Device.Secret})
	}
	r.run("radius", "rotate", "mail")
	r.run("radius", "set", "gate", "--upstream", "192.0.2.8:1812")
	return all
}

// exportEverything writes, converts and checks key files in all ways that need no other program, and fails to.
func (r *rig) exportEverything(file func(string) string) {
	r.t.Helper()
	if err := os.WriteFile(file("word"), []byte("correct horse\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	export := func(name string, words ...string) []string {
		return append([]string{"keyfile", "export", "--out", file(name)}, words...)
	}
	r.must(export("psk.xml", "--format", "pskc", "--psk-out", file("psk"))...)
	r.must(export("word.xml", "--format", "pskc", "--passphrase-file", file("word"))...)
	r.must(export("word.age", "--format", "ksm", "--passphrase-file", file("word"))...)
	r.must(export("pi.json", "--for", "privacyidea-json", "--psk-out", file("pi.key"))...)
	r.handOver(export("pi2.json", "--format", "pi-json")...)
	r.must(export("t.csv", "--template", "{serial},{secretKeyTxt},{pvtIdTxt}", "--plaintext")...)
	r.run(export("no.xml", "--for", "privacyidea-pskc", "--psk-out", file("no"))...)
	r.must("keyfile", "convert", file("psk.xml"), "--psk-file", file("psk"), "--to", "pskc", "--new-passphrase-file", file("word"), "--out", file("again.xml"))
	for _, server := range []string{"okta", "privacyidea", "yubikey-ksm"} {
		r.run("keyfile", "check", file("keys.csv"), "--for", server, "-o", "json")
	}
	r.run("keyfile", "check", file("psk.xml"), "--psk-file", file("psk"), "--for", "privacyidea-pskc")
	for _, f := range []string{"psk", "pi.key"} {
		text, err := os.ReadFile(file(f))
		if err != nil || len(text) < 32 {
			r.t.Fatalf("%s: %d bytes, %v", f, len(text), err)
		}
		r.drawn = append(r.drawn, named{name: f, text: strings.TrimSpace(string(text))})
	}
	r.drawn = append(r.drawn, named{name: "passphrase", text: "correct horse"})
}

// handOver calls the program with an output of its own, and returns that.
func (r *rig) handOver(words ...string) []byte {
	r.t.Helper()
	var out bytes.Buffer
	was := r.stdout
	r.stdout = &out
	defer func() { r.stdout = was }()
	r.must(words...)
	return out.Bytes()
}

// writeSpoiled copies a key file with one wrong character in each key.
func writeSpoiled(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, l := range lines {
		if f := strings.Split(l, ","); len(f) > 4 {
			f[3] = "z" + f[3][1:]
			lines[i] = strings.Join(f, ",")
		}
	}
	if err := os.WriteFile(to, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// named is one secret.
type named struct {
	name string
	raw  []byte
	text string // a secret that is text; "" for bytes
}

// secrets are all that the store holds, the two key files, and the API key.
func (r *rig) secrets(client []byte) []named {
	r.t.Helper()
	st := r.open()
	token, err := st.Tokens(r.t.Context(), desk.Match{})
	if err != nil || len(token) != 1 {
		r.t.Fatalf("%d tokens, %v", len(token), err)
	}
	credentials, err := st.Credentials(r.t.Context(), token[0].ID)
	if err != nil || len(credentials) != 3 {
		r.t.Fatalf("%d credentials, %v", len(credentials), err)
	}
	var all []named
	add := func(name string, raw []byte) {
		if len(raw) > 0 {
			all = append(all, named{name: name, raw: bytes.Clone(raw)})
		}
	}
	for _, c := range credentials {
		rec, err := st.Record(r.t.Context(), c.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		add("key", rec.Key.Reveal())
		add("private ID", rec.PrivateID.Reveal())
	}
	_, live, err := st.Slots(r.t.Context(), rigSerial)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range live {
		add("access code", c.Secrets.AccessCode.Reveal())
	}
	for _, f := range []string{sealingFile, signingFile} {
		text, err := os.ReadFile(filepath.Join(r.dataDir, f))
		if err != nil {
			r.t.Fatal(err)
		}
		raw, err := hex.DecodeString(strings.TrimSpace(string(text[bytes.LastIndexByte(text, ':')+1:])))
		if err != nil {
			r.t.Fatal(err)
		}
		add(f, raw)
	}
	var answer struct{ Client newClient }
	if err := json.Unmarshal(client, &answer); err != nil {
		r.t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(answer.Client.Key)
	if err != nil {
		r.t.Fatal(err)
	}
	add("API key", key)
	if len(all) < 11 {
		r.t.Fatalf("only %d secrets were found", len(all))
	}
	return all
}

// typedSecrets are one-time passwords: their encrypted part must not be seen whole.
func typedSecrets(typed []string) []named {
	var all []named
	for _, otp := range typed {
		all = append(all, named{name: "one-time password", text: otp[len(otp)-32:]})
	}
	return all
}

// spellings are the ways in which a secret may come to be printed.
func (n named) spellings() []string {
	if n.text != "" {
		return []string{n.text, strings.ToUpper(n.text)}
	}
	h := hex.EncodeToString(n.raw)
	decimal := strings.Trim(fmt.Sprint(n.raw), "[]") // as fmt prints a slice
	return []string{
		string(n.raw), h, strings.ToUpper(h), modhex.EncodeToString(n.raw), decimal,
		base64.StdEncoding.EncodeToString(n.raw), base64.RawStdEncoding.EncodeToString(n.raw),
		base64.URLEncoding.EncodeToString(n.raw), base64.RawURLEncoding.EncodeToString(n.raw),
	}
}

// search looks everywhere but in the key files.
func (r *rig) search(secrets []named) {
	r.t.Helper()
	places := map[string][]byte{"standard output": r.out.Bytes(), "standard error": r.err.Bytes()}
	stored, err := filepath.Glob(filepath.Join(r.dataDir, "tokendesk.db*"))
	if err != nil || len(stored) == 0 {
		r.t.Fatalf("no store, %v", err)
	}
	for _, f := range stored {
		if places[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			r.t.Fatal(err)
		}
	}
	for place, text := range places {
		if len(text) == 0 && !strings.HasSuffix(place, "-wal") {
			r.t.Errorf("%s is empty", place)
		}
		for _, s := range secrets {
			for i, form := range s.spellings() {
				if bytes.Contains(text, []byte(form)) {
					r.t.Errorf("a %s is in %s (spelling %d)", s.name, place, i)
				}
			}
		}
	}
}
