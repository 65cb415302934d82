package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	weak "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// needJudges skips the test where a foreign program or a library that PAM loads is not installed; where TOKENDESK_JUDGES is 1, it fails.
func needJudges(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		for _, dir := range []string{"/lib/*/", "/usr/lib/*/", "/lib/*/security/", "/usr/lib/*/security/"} {
			if found, _ := filepath.Glob(dir + name); len(found) > 0 {
				err = nil
			}
		}
		switch {
		case err == nil:
		case os.Getenv("TOKENDESK_JUDGES") == "1":
			t.Fatalf("%s is not installed", name)
		default:
			t.Skipf("%s is not installed", name)
		}
	}
}

// seeded is a token as its vendor knows it. Debian's oathtool makes its codes, so that they share no code with ours.
type seeded struct {
	serial string
	kind   token.Kind
	seed   string // hexadecimal
	digits int
	hash   string // "sha1", "sha256", "sha512"
	period time.Duration
}

// randomToken draws a seed.
func randomToken(serial string, kind token.Kind, digits int) seeded {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return seeded{serial: serial, kind: kind, seed: hex.EncodeToString(b), digits: digits, hash: "sha1", period: 30 * time.Second}
}

// counted are n HOTP codes from a moving factor on.
func (k seeded) counted(t testing.TB, from, n int) []string {
	t.Helper()
	return k.oathtool(t, n, "-c", fmt.Sprint(from))
}

// timed are n TOTP codes, that of a time and those after it.
func (k seeded) timed(t testing.TB, at time.Time, n int) []string {
	t.Helper()
	return k.oathtool(t, n, "--totp="+k.hash, "-s", fmt.Sprintf("%ds", int(k.period.Seconds())), "-N", at.UTC().Format("2006-01-02 15:04:05")+" UTC")
}

// at is the code of a time.
func (k seeded) at(t testing.TB, when time.Time) string { return k.timed(t, when, 1)[0] }

func (k seeded) oathtool(t testing.TB, n int, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), askTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "oathtool", append(args, "-d", fmt.Sprint(k.digits), "-w", fmt.Sprint(n-1), k.seed)...).Output()
	codes := strings.Fields(string(out))
	if err != nil || len(codes) != n {
		t.Fatalf("oathtool: %v, %d codes", err, len(codes))
	}
	return codes
}

// wrong is a code that differs from all of the given ones, and was not asked before by this value of n.
func (k seeded) wrong(not []string, n int) string {
	for i := n; ; i++ {
		code := fmt.Sprintf("%0*d", k.digits, (i*7919+weak.IntN(1000))%pow10(k.digits))
		if !strings.Contains(" "+strings.Join(not, " ")+" ", " "+code+" ") {
			return code
		}
	}
}

func pow10(n int) int {
	out := 1
	for range n {
		out *= 10
	}
	return out
}

// vendorFile writes the tokens as a vendor's PSKC file, which Debian's pskctool has checked. Source of the form: RFC 6030.
func vendorFile(t *testing.T, list ...seeded) string {
	t.Helper()
	var x strings.Builder
	x.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<KeyContainer Version="1.0" Id="box" xmlns="urn:ietf:params:xml:ns:keyprov:pskc">` + "\n")
	for _, k := range list {
		seed, err := hex.DecodeString(k.seed)
		if err != nil {
			t.Fatal(err)
		}
		moving := `<Counter><PlainValue>0</PlainValue></Counter>`
		if k.kind == token.TOTP {
			moving = fmt.Sprintf(`<Time><PlainValue>0</PlainValue></Time><TimeInterval><PlainValue>%d</PlainValue></TimeInterval>`, int(k.period.Seconds()))
		}
		fmt.Fprintf(&x, `<KeyPackage><DeviceInfo><Manufacturer>oath.EXAMPLE</Manufacturer><SerialNo>%s</SerialNo></DeviceInfo>
<Key Id="%[1]s" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:%s"><AlgorithmParameters><Suite>%s</Suite><ResponseFormat Length="%d" Encoding="DECIMAL"/></AlgorithmParameters>
<Data><Secret><PlainValue>%s</PlainValue></Secret>%s</Data></Key></KeyPackage>`+"\n", k.serial, k.kind, strings.ToUpper(k.hash), k.digits, base64.StdEncoding.EncodeToString(seed), moving)
	}
	x.WriteString("</KeyContainer>\n")
	file := filepath.Join(t.TempDir(), "box.pskcxml")
	if err := os.WriteFile(file, []byte(x.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "pskctool", "--validate", file).CombinedOutput(); err != nil {
		t.Fatalf("pskctool: %v\n%s", err, out)
	}
	return file
}

// The clock of a rig is a file, which every process of the program reads when it looks at the clock. Without the file it is the
// system's.

func (r *rig) clockFile() string { return filepath.Join(filepath.Dir(r.dataDir), "clock") }

// setTime stops the clock at a time.
func (r *rig) setTime(at time.Time) {
	r.t.Helper()
	next := r.clockFile() + ".next"
	if err := os.WriteFile(next, []byte(at.Format(time.RFC3339Nano)), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(next, r.clockFile()); err != nil {
		r.t.Fatal(err)
	}
	r.now = func() time.Time { return fileTime(r.clockFile()) }
}

// advance sets the clock ahead, and returns what it shows.
func (r *rig) advance(d time.Duration) time.Time {
	at := r.now().Add(d)
	r.setTime(at)
	return at
}

// fileTime is what the clock of a file shows.
func fileTime(file string) time.Time {
	text, err := os.ReadFile(file)
	if err != nil {
		return time.Now()
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		panic("the clock is broken")
	}
	return at
}
