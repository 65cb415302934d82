package wsapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestYkclient lets Debian's ykclient (libykclient-dev) judge. Its exit codes: 0 good, 1 hard error, 2 replayed, 3 other.
// With an API key it signs the request and checks h, otp and nonce of the answer.
func TestYkclient(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("ykclient")
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal("ykclient is not installed")
		}
		t.Skip("ykclient is not installed")
	}
	s := newSite(t)
	base := strings.TrimSuffix(serve(t, s.handler), "?")
	key := base64.StdEncoding.EncodeToString([]byte(clientKey))
	wrong := base64.StdEncoding.EncodeToString([]byte("abcdefghij0123456789"))
	for _, tc := range []struct {
		name, id, key, otp string
		exit               int
		want               string // in what --debug prints
	}{
		{"wrong API key", "1", wrong, press(t, 5, 0), 3, "status: BAD_SIGNATURE\n"},
		{"unknown client", "4711", key, press(t, 5, 0), 3, "status: NO_SUCH_CLIENT\n"},
		{"changed character", "1", key, flip(press(t, 5, 0)), 3, "status: BAD_OTP\n"},
		{"good", "1", key, press(t, 5, 0), 0, "status: OK\n"},
		{"again", "1", key, press(t, 5, 0), 2, "status: REPLAYED_OTP\n"},
		{"older", "1", key, press(t, 4, 0), 2, "status: REPLAYED_OTP\n"},
		{"no key", "1", "", press(t, 5, 1), 0, "status: OK\n"},
		{"no key, must sign", "3", "", press(t, 5, 2), 3, "status: BAD_SIGNATURE\n"},
		{"must sign", "3", key, press(t, 5, 2), 0, "status: OK\n"},
		{"upper case", "1", key, strings.ToUpper(press(t, 5, 3)), 0, "status: OK\n"},
	} {
		args := []string{"--debug", "--url", base}
		if tc.key != "" {
			args = append(args, "--apikey", tc.key)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		out, err := exec.CommandContext(ctx, program, append(args, tc.id, tc.otp)...).CombinedOutput()
		cancel()
		code := 0
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != tc.exit || !strings.Contains(string(out), tc.want) {
			t.Errorf("%s: exit %d, want %d with %q; it said:\n%s", tc.name, code, tc.exit, tc.want, out)
		}
	}
}
