package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestServeYkclient lets Debian's ykclient (libykclient-dev) judge the server process, with a client and a key as a user
// makes them. Its exit codes: 0 good, 2 replayed, 3 other. With an API key it signs and checks the answer's signature.
func TestServeYkclient(t *testing.T) {
	t.Parallel()
	program := findYkclient(t)
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
		code, out := program.ask(t, s, c.id, tc.key, tc.otp)
		if code != tc.exit || !strings.Contains(out, "status: "+tc.status+"\n") {
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

// ykclient is the program.
type ykclient string

func findYkclient(t *testing.T) ykclient {
	t.Helper()
	program, err := exec.LookPath("ykclient")
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal("ykclient is not installed")
		}
		t.Skip("ykclient is not installed")
	}
	return ykclient(program)
}

// ask submits an OTP, signed unless key is "", and returns the exit code and what was said.
func (y ykclient) ask(t *testing.T, s *server, client int64, key, otp string) (int, string) {
	t.Helper()
	args := []string{"--url", "http://" + s.address + "/wsapi/2.0/verify"}
	if key != "" {
		args = append(args, "--apikey", key)
	}
	return y.run(t, append(args, strconv.FormatInt(client, 10), otp)...)
}

// run returns the exit code and what was said.
func (y ykclient) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), askTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, string(y), append([]string{"--debug"}, args...)...).CombinedOutput()
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return code, string(out)
}

// TestServeYkclientRotated: while a client changes its key, ykclient is content with either key at every server process, and a
// rotation, a revocation and a right count as soon as the command that made them has returned.
func TestServeYkclientRotated(t *testing.T) {
	t.Parallel()
	program := findYkclient(t)
	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "ada", "--group", "staff")
	r.must("provision", "--slot", "2", "--to", "ada")
	servers := []*server{r.serve(), r.serve()}
	newKeyOf := func(words ...string) string {
		t.Helper()
		var answer struct{ Client newClient }
		if err := json.Unmarshal(r.handOver(append(words, "-o", "json")...), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Client.Key
	}
	ask := func(what, key, otp string, exit int, status string) {
		t.Helper()
		for i, s := range servers {
			if exit == 0 {
				otp = r.typed(2)
			}
			code, out := program.ask(t, s, 1, key, otp)
			if code != exit || !strings.Contains(out, "status: "+status+"\n") {
				t.Errorf("%s, server %d: exit %d, want %d with %s; it said:\n%s", what, i, code, exit, status, out)
			}
		}
	}
	first := newKeyOf("client", "add", "mail")
	ask("first key", first, "", 0, "OK")
	second := newKeyOf("client", "rotate", "mail", "--keep", "1h")
	ask("first key, rotating", first, "", 0, "OK")
	ask("second key, rotating", second, "", 0, "OK")
	ask("no key, rotating", "", "", 0, "OK")
	third := newKeyOf("client", "rotate", "mail", "--now")
	fresh := r.typed(2)
	ask("first key, over", first, fresh, 3, "BAD_SIGNATURE")
	ask("second key, over", second, fresh, 3, "BAD_SIGNATURE")
	ask("third key", third, "", 0, "OK")
	fresh = r.typed(2)
	r.must("client", "set", "mail", "--group", "guests")
	ask("another group", third, fresh, 3, "OPERATION_NOT_ALLOWED")
	r.must("person", "group", "ada", "--add", "guests")
	ask("its group", third, "", 0, "OK")
	fresh = r.typed(2)
	r.must("client", "set", "mail", "--network", "192.0.2.0/24")
	ask("another network", third, fresh, 3, "OPERATION_NOT_ALLOWED")
	r.must("client", "set", "mail", "--network", "127.0.0.1", "--must-sign")
	ask("must sign", "", fresh, 3, "BAD_SIGNATURE")
	ask("its network", third, "", 0, "OK")
	fresh = r.typed(2)
	r.must("client", "revoke", "mail")
	ask("revoked", third, fresh, 3, "NO_SUCH_CLIENT")
	for _, s := range servers {
		if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d\n%s", code, log)
		}
	}
	r.must("audit", "verify")
}

// changed is an OTP with another last character.
func changed(otp string) string {
	end := "c"
	if strings.HasSuffix(otp, end) {
		end = "b"
	}
	return otp[:len(otp)-1] + end
}
