package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// adasKey makes a store with ada and bob, and a key of ada's: slot 2, an account that she brought, and a certificate.
func (r *rig) adasKey() {
	r.t.Helper()
	r.must("init")
	r.must("person", "add", "ada", "--mail", "ada@example.org")
	r.must("person", "add", "bob")
	r.must("provision", "--slot", "2", "--to", "ada")
	uri := filepath.Join(r.t.TempDir(), "uri.txt")
	if err := os.WriteFile(uri, []byte("otpauth://totp/Example:brought?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.must("oath", "add", "--uri-file", uri, "--register")
	r.certificate()
}

// certificate has the store know one of a certificate on the key.
func (r *rig) certificate() {
	r.t.Helper()
	err := r.open().KeepCertificate(r.t.Context(), token.Certificate{Serial: rigSerial, Slot: "9a", Issuer: "CN=Site CA", Number: "4711ff", Subject: "CN=ada",
		NotAfter: time.Now().Add(24 * time.Hour), SHA256: strings.Repeat("a", 64), PublicKey: strings.Repeat("b", 64)})
	if err != nil {
		r.t.Fatal(err)
	}
}

// reads calls the program with -o json, and reads what it shows under name; of a list the first.
func reads[T any](r *rig, name string, words ...string) (out T) {
	r.t.Helper()
	r.out.Reset()
	r.must(append(words, "-o", "json")...)
	var answer map[string]json.RawMessage
	err := json.Unmarshal(r.out.Bytes(), &answer)
	text := answer[name]
	if err == nil && len(text) > 0 && text[0] == '[' {
		var list []json.RawMessage
		if err = json.Unmarshal(text, &list); err == nil && len(list) > 0 {
			text = list[0]
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		r.t.Fatalf("%q: %v\n%s", words, err, r.out.String())
	}
	return out
}

const saidCertificate = "certificate 4711ff of CN=Site CA in slot 9a: have it revoked there\n"

func toRevoke(r desk.Remains) bool {
	return len(r.Certificates) == 1 && r.Certificates[0].Slot == "9a" && r.Certificates[0].Number == "4711ff" && r.Certificates[0].Do == "have it revoked there"
}

// TestReassignTells: whoever takes a key from somebody is told what else must be revoked, however it is written, and where an interrupted
// write is finished; nobody else is.
func TestReassignTells(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		under string
		words string
	}{
		"provision":    {"provisioned", "provision --slot 2 --to bob --reassign"},
		"slot program": {"provisioned", "slot program --type hotp --slot 1 --to bob --reassign"},
		"accounts":     {"accounts", "provision --oath Example:bob --to bob --reassign"},
		"oath add":     {"accounts", "oath add Example:bob --to bob --reassign"},
		"resume":       {"settled", "provision resume"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.adasKey()
			r.err.Reset()
			r.must("provision", "--slot", "2", "--to", "ada")
			r.must("oath", "add", "Example:more", "--type", "hotp", "--to", "ada")
			if said := r.err.String(); strings.Contains(said, "4711ff") || strings.Contains(said, "before\n") {
				t.Errorf("the same holder:\n%s", said)
			}
			if name == "resume" {
				r.touchWait, r.bus = 10*time.Millisecond, virtualBus{r.key, 0} // nobody touches it
				if code := r.run(strings.Fields("provision --slot 2 --to bob --reassign")...); code == exitDone {
					t.Fatal("not interrupted")
				}
				r.touchWait, r.bus = 30*time.Second, virtualBus{r.key, 2}
				if strings.Contains(r.err.String(), "4711ff") {
					t.Error("told before the key went to anybody")
				}
			}
			if name == "slot program" {
				r.bus = virtualBus{r.key, 1}
			}
			got := reads[handedOn](r, c.under, strings.Fields(c.words)...)
			if got.From != "ada" || !toRevoke(got.Remains) || !slices.Equal(got.Revoked, []string{"Example:brought"}) || got.Wipe != nil {
				t.Errorf("%+v\n%s", got, r.out.String())
			}
			for _, want := range []string{"was ada's before\n", saidCertificate, `account "Example:brought" of it is revoked`} {
				if !strings.Contains(r.err.String(), want) {
					t.Errorf("does not say %q:\n%s", want, r.err.String())
				}
			}
		})
	}
}

// TestEndsTellPrograms: what block, return, issue and retire say is in their JSON, too.
func TestEndsTellPrograms(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.adasKey()
	got := reads[tokenRow](r, "token", "token", "block", "ada", "--reason", "forgotten")
	if !toRevoke(got.Remains) || got.Revoked != nil || got.Wipe != nil {
		t.Errorf("block: %+v", got)
	}
	r.must("token", "restore", "ada", "--undo")
	r.stdin = strings.NewReader(r.typed(2))
	got = reads[tokenRow](r, "token", "token", "return", "ada")
	if got.State != token.InStock || !toRevoke(got.Remains) || !slices.Equal(got.Revoked, []string{"Example:brought"}) || !slices.Equal(got.Wipe, []string{desk.WipeOATH, desk.WipePIV}) {
		t.Errorf("return: %+v", got)
	}
	r.stdin = strings.NewReader(r.typed(2))
	if got = reads[tokenRow](r, "token", "token", "issue", "7654321", "--to", "bob", "--id-check", "known"); got.Replaced != nil || got.Wipe != nil {
		t.Errorf("issue: %+v", got)
	}
	r.err.Reset()
	codes := r.box("T1", "T2")
	r.stdin = strings.NewReader(codes[0])
	got = reads[tokenRow](r, "token", "token", "issue", "T1", "--to", "bob", "--id-check", "known", "--replace", "7654321")
	if p := got.Replaced; p == nil || p.Serial != rigSerial || p.State != token.Revoked || p.Owed == nil || !toRevoke(p.Remains) || p.Wipe != nil || len(got.Certificates) != 0 {
		t.Errorf("issue in place of another: %+v", got)
	}
	if !strings.Contains(r.err.String(), saidCertificate) {
		t.Errorf("issue does not say it:\n%s", r.err.String())
	}
	if got = reads[tokenRow](r, "token", "token", "return", "7654321"); !toRevoke(got.Remains) || got.Wipe != nil || got.Owed != nil {
		t.Errorf("what was replaced comes back: %+v", got)
	}
}

// TestShipTells: a token that goes by post in place of another ends that one.
func TestShipTells(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.adasKey()
	r.box("T1", "T2")
	r.err.Reset()
	got := reads[shipment](r, "shipment", "token", "issue", "T1", "--to", "ada", "--id-check", "video", "--ship", "--replace", "7654321")
	if p := got.Replaced; len(got.Number) != 6 || p == nil || p.State != token.Revoked || !toRevoke(p.Remains) || !strings.Contains(r.err.String(), saidCertificate) {
		t.Errorf("%+v\n%s", got, r.err.String())
	}
	if got := reads[tokenRow](r, "token", "token", "retire", "T2", "--note", "broken", "--yes"); got.State != token.Revoked || len(got.Certificates) != 0 {
		t.Errorf("one without: %+v", got)
	}
}

// box imports TOTP tokens, and returns what they show now.
func (r *rig) box(labels ...string) (codes []string) {
	r.t.Helper()
	var list []keyfile.Record
	for i, label := range labels {
		key := secret.New([]byte(strings.Repeat(string(rune('A'+i)), 20)))
		g, err := oath.New(secret.Copy(key.Reveal()), oath.SHA1, 6)
		if err != nil {
			r.t.Fatal(err)
		}
		codes = append(codes, g.Code(oath.Step(time.Now(), 30*time.Second)))
		list = append(list, keyfile.Record{Kind: token.TOTP, Label: label, Key: key, Digits: 6, Period: 30 * time.Second, Hash: "sha1"})
	}
	if _, err := r.open().Import(r.t.Context(), "box", list); err != nil {
		r.t.Fatal(err)
	}
	return codes
}

// TestShownForTheHelpdesk: what a call is about is seen at one look, with the key at hand and without.
func TestShownForTheHelpdesk(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.adasKey()
	st := r.open()
	for _, what := range []token.EscrowKind{token.PIVPUK, token.OATHPassword} {
		if _, err := st.KeepEscrow(t.Context(), rigSerial, what, secret.New([]byte("12345678"))); err != nil {
			t.Fatal(err)
		}
	}
	r.must("token", "lost", "ada", "--reason", "stolen")
	shown := reads[shownToken](r, "token", "token", "show", "ada")
	if !toRevoke(shown.Remains) || !slices.Equal(shown.Kept, []string{"OATH password", "PUK"}) {
		t.Errorf("token show: %+v", shown)
	}
	info := reads[described](r, "device", "device", "info")
	if k := info.Known; k == nil || k.Reason != token.ReasonStolen || !toRevoke(desk.Remains{Certificates: k.Certificates}) {
		t.Errorf("device info: %+v", k)
	}
	r.out.Reset()
	r.must("token", "show", "ada")
	r.must("device", "info")
	for _, want := range []string{"Kept in the store  OATH password, PUK\n", "lost (stolen)\n", "Certificates in the store  4711ff of CN=Site CA in slot 9a\n"} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("does not show %q:\n%s", want, r.out.String())
		}
	}
}
