package pskc

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// judges is the environment variable that, set to 1, makes a missing foreign program a failure.
const judges = "TOKENDESK_JUDGES"

// runPskctool runs the OATH Toolkit's program on a file and returns what it printed.
func runPskctool(t *testing.T, file string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("pskctool")
	if err != nil {
		if os.Getenv(judges) == "1" {
			t.Fatalf("pskctool is not installed, and %s is 1", judges)
		}
		t.Skip("pskctool is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append(args, file)...).CombinedOutput()
	return string(out), err
}

func TestPskctoolAgrees(t *testing.T) {
	t.Parallel()
	odd := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label, r.Owner = `a<&>"b`, `Doe, "D"` })
	text, err := sample.Encode(Codec{}, append(sample.All(), odd)...)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.xml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := runPskctool(t, file, "--validate"); err != nil || strings.TrimSpace(out) != "OK" {
		t.Errorf("--validate: %v\n%s", err, out)
	}
	out, err := runPskctool(t, file, "--strict", "--info")
	if err != nil {
		t.Fatalf("--strict --info: %v\n%s", err, out)
	}
	for _, want := range []string{
		"Id: 10200301:1", "Key User Id: CN=vvccccknlfut, UID=5c45bd4baca5", "Key Secret (base64): aIo8hCO9XggRYC/ml3/08g==",
		"Response Format Length: 44", "Device StartDate: 2026-03-01 10:00:01", "Id: 10200302:2", "Id: 10200301:2", "Key Counter: 42",
		"Algorithm Parameters Suite: sha256", "Key TimeInterval: 30", "UserId: CN=carol", `SerialNo: a<&>"b`, `UserId: CN=Doe\, \"D\"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// A judge that agrees with everything is none. pskctool 2.6.7 ends with 0 for an invalid file too: its last word counts.
func TestPskctoolRefusesWrongOrder(t *testing.T) {
	t.Parallel()
	i, j := strings.Index(golden, "   <pskc:Data>"), strings.Index(golden, "   <pskc:UserId>CN=vv")
	k := j + strings.Index(golden[j:], "\n") + 1
	file := filepath.Join(t.TempDir(), "keys.xml")
	if err := os.WriteFile(file, []byte(golden[:i]+golden[j:k]+golden[i:j]+golden[k:]), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := runPskctool(t, file, "--validate"); err == nil && !strings.HasSuffix(out, "FAIL\n") {
		t.Errorf("--validate accepted UserId before Data: %s", out)
	}
}
