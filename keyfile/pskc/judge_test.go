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

// run runs a foreign program and returns what it printed. The test is skipped where it is not installed and need not be.
func run(t *testing.T, stdin, program string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, program)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func missing(t *testing.T, program string) {
	t.Helper()
	if os.Getenv(judges) == "1" {
		t.Fatalf("%s is not installed, and %s is 1", program, judges)
	}
	t.Skipf("%s is not installed", program)
}

// runPskctool runs the OATH Toolkit's program on a file and returns what it printed.
func runPskctool(t *testing.T, file string, args ...string) (string, error) {
	t.Helper()
	return run(t, "", "pskctool", append(args, file)...)
}

// writeTemp is the name of a new file that holds text.
func writeTemp(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.xml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestPskctoolAgrees(t *testing.T) {
	t.Parallel()
	odd := sample.With(sample.Dave(), func(r *keyfile.Record) { r.Label, r.Owner = `a<&>"b`, `Doe, "D"`; r.Issuer = "Campus" })
	text, err := sample.Encode(Codec{}, append(sample.All(), odd)...)
	if err != nil {
		t.Fatal(err)
	}
	file := writeTemp(t, text)
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
		"Algorithm Parameters Suite: sha256", "Key TimeInterval: 30", "UserId: CN=carol", `SerialNo: a<&>"b`, "Issuer: Campus", `UserId: CN=Doe\, \"D\"`,
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
	file := writeTemp(t, golden[:i]+golden[j:k]+golden[i:j]+golden[k:])
	if out, err := runPskctool(t, file, "--validate"); err == nil && !strings.HasSuffix(out, "FAIL\n") {
		t.Errorf("--validate accepted UserId before Data: %s", out)
	}
}
