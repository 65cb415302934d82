package usersoath_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// need finds foreign programs, and PAM modules by their file names; it skips the test without them, or fails it where judges
// are demanded.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		for _, dir := range []string{"/lib/*/", "/usr/lib/*/", "/lib/*/security/", "/usr/lib/*/security/", "/lib/security/", "/usr/lib/security/"} {
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

// service is a PAM service of one module, in a folder of its own that libpam_wrapper takes for /etc/pam.d.
type service struct{ dir string }

func newService(t *testing.T, module string, args ...string) service {
	t.Helper()
	need(t, "flock", "pamtester", "libpam_wrapper.so", "oathtool", module)
	s := service{filepath.Join(t.TempDir(), "pam.d")}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	line := "auth required " + module + " " + strings.Join(args, " ") + "\n"
	for _, name := range []string{"desk", "other"} {
		write(t, filepath.Join(s.dir, name), line)
	}
	return s
}

// login types code at the prompt of the service and reports whether PAM let the account in.
func (s service) login(t *testing.T, account, code string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// libpam_wrapper makes a folder in /tmp whose name others may choose in the same moment: flock lets one do so at a time.
	c := exec.CommandContext(ctx, "flock", filepath.Join(os.TempDir(), "tokendesk-pam.lock"), "env", "LD_PRELOAD=libpam_wrapper.so", "PAM_WRAPPER=1",
		"PAM_WRAPPER_SERVICE_DIR="+s.dir, "pamtester", "desk", account, "authenticate")
	c.Stdin = strings.NewReader(code + "\n")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && strings.Contains(string(out), "successfully authenticated"):
		return true
	case errors.As(err, &exit) && (strings.Contains(string(out), "Authentication failure") || strings.Contains(string(out), "User not known")):
		return false
	}
	t.Fatalf("pamtester: %v: %s", err, out)
	return false
}

// expect logs in and fails the test unless PAM answers as wanted.
func (s service) expect(t *testing.T, what, account, code string, want bool) {
	t.Helper()
	if got := s.login(t, account, code); got != want {
		t.Errorf("%s: %s is let in: %v, want %v", what, account, got, want)
	}
}

// write makes a file of mode 0600.
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// export writes recs with c into a file.
func export(t *testing.T, c keyfile.Codec, file string, recs ...keyfile.Record) {
	t.Helper()
	text, err := sample.Encode(c, recs...)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, text)
}

// code asks oathtool, which takes a seed in hexadecimal.
func code(t *testing.T, seed string, args ...string) string {
	t.Helper()
	out, err := exec.Command("oathtool", append(args, seed)...).Output()
	if err != nil {
		t.Fatalf("oathtool: %v", err)
	}
	return strings.TrimSpace(string(out))
}
