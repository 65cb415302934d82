package otpauth

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// script prints what pyotp makes of each URI on its standard input, with the code at Unix time 1772359200 or the counter.
const script = `
import sys, pyotp
for line in sys.stdin:
    o = pyotp.parse_uri(line.strip())
    code = o.at(1772359200) if isinstance(o, pyotp.TOTP) else o.at(0)
    print(o.issuer, o.name, o.digest().name, o.digits, getattr(o, "interval", o.__dict__.get("initial_count")), code, sep="|")
`

// runPyotp gives a text to Debian's python3-pyotp.
func runPyotp(t *testing.T, text string) string {
	t.Helper()
	const python = "/usr/bin/python3"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := exec.CommandContext(ctx, python, "-c", "import pyotp").Run(); err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatalf("pyotp is not installed, and TOKENDESK_JUDGES is 1: %v", err)
		}
		t.Skip("pyotp is not installed")
	}
	cmd := exec.CommandContext(ctx, python, "-c", script)
	cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
	cmd.Stdin = strings.NewReader(text)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pyotp: %v\n%s", err, errs.String())
	}
	return string(out)
}

// pyotpMisreads are the bytes that pyotp 2.6 takes for the URI's own even when they are escaped: it unescapes the whole URI
// before it takes it apart.
const pyotpMisreads = "&=?#/%+;[]"

func TestPyotpAgrees(t *testing.T) {
	t.Parallel()
	recs := []keyfile.Record{campusDave()}
	r := rand.New(rand.NewPCG(3, 4))
	for len(recs) < 100 {
		rec := sample.Random(r)
		if rec.Issuer == "" || strings.ContainsAny(rec.Issuer+rec.Owner, pyotpMisreads) || keyfile.Refused("", rec, Codec{}.Loss(rec)) != nil {
			continue
		}
		recs = append(recs, rec)
	}
	text, err := sample.Encode(Codec{}, recs...)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(runPyotp(t, text)), "\n")
	if len(lines) != len(recs) {
		t.Fatalf("%d lines for %d records", len(lines), len(recs))
	}
	for i, rec := range recs {
		if want := wantOf(t, rec); lines[i] != want {
			t.Errorf("got  %s\nwant %s", lines[i], want)
		}
	}
	if !strings.HasSuffix(lines[0], "|662989") { // reference key-files.md §2
		t.Errorf("dave's code: %s", lines[0])
	}
}

func wantOf(t *testing.T, rec keyfile.Record) string {
	t.Helper()
	g, err := oath.New(rec.Key, oath.Hash(rec.Hash), rec.Digits)
	if err != nil {
		t.Fatal(err)
	}
	factor, number := rec.Counter, rec.Counter
	if rec.Kind == token.TOTP {
		factor, number = oath.Step(time.Unix(1772359200, 0), rec.Period), int64(rec.Period/time.Second)
	}
	return fmt.Sprintf("%s|%s|%s|%d|%d|%s", rec.Issuer, Account(rec), rec.Hash, rec.Digits, number, g.Code(factor))
}
