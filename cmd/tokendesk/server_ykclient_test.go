package main

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestServeYkclient lets Debian's ykclient (libykclient-dev) judge the server process, with a client and a key as a user
// makes them. Its exit codes: 0 good, 2 replayed, 3 other. With an API key it signs and checks the answer's signature.
func TestServeYkclient(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("ykclient")
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal("ykclient is not installed")
		}
		t.Skip("ykclient is not installed")
	}
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	c := r.client("mail")
	s := r.serve()
	older, good, fresh := r.typed(2), r.typed(2), r.typed(2)
	wrong := base64.StdEncoding.EncodeToString(make([]byte, 20))
	for _, tc := range []struct {
		name, key, otp string
		exit           int
		status         string
	}{
		{"wrong API key", wrong, good, 3, "BAD_SIGNATURE"},
		{"good", c.key, good, 0, "OK"},
		{"again", c.key, good, 2, "REPLAYED_OTP"},
		{"older", c.key, older, 2, "REPLAYED_OTP"},
		{"changed character", c.key, changed(fresh), 3, "BAD_OTP"},
		{"wrong API key, fresh", wrong, fresh, 3, "BAD_SIGNATURE"},
		{"fresh", c.key, fresh, 0, "OK"}, // neither of the two before has spent it
		{"without API key", "", fresh, 2, "REPLAYED_OTP"},
	} {
		args := []string{"--debug", "--url", "http://" + s.address + "/wsapi/2.0/verify"}
		if tc.key != "" {
			args = append(args, "--apikey", tc.key)
		}
		ctx, cancel := context.WithTimeout(t.Context(), askTime)
		out, err := exec.CommandContext(ctx, program, append(args, "1", tc.otp)...).CombinedOutput()
		cancel()
		code := 0
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != tc.exit || !strings.Contains(string(out), "status: "+tc.status+"\n") {
			t.Errorf("%s: exit %d, want %d with %s; it said:\n%s", tc.name, code, tc.exit, tc.status, out)
		}
	}
	if c.id != 1 {
		t.Errorf("the first client has the number %d", c.id)
	}
	if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

// changed is an OTP with another last character.
func changed(otp string) string {
	end := "c"
	if strings.HasSuffix(otp, end) {
		end = "b"
	}
	return otp[:len(otp)-1] + end
}
