package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// walker takes hardware tokens through their life: at the desk by commands, at a relying server by two server processes, over
// one clock. oathtool stands for the displays.
type walker struct {
	*rig
	t       *testing.T
	client  *factorClient
	servers []*server
}

// newWalker imports a vendor's box of two TOTP tokens and a HOTP token, and starts the servers. Codes have eight digits, so that none is
// right by chance.
func newWalker(t *testing.T) (w walker, totp, slow, hotp seeded) {
	t.Helper()
	needJudges(t, "oathtool", "pskctool")
	w = walker{rig: newRig(t, 2), t: t}
	w.setTime(time.Date(2026, 3, 2, 9, 0, 10, 0, time.UTC))
	totp, slow, hotp = randomToken("4711-0023", token.TOTP, 8), randomToken("4711-0032", token.TOTP, 8), randomToken("4711-0099", token.HOTP, 8)
	slow.hash, slow.period = "sha256", time.Minute
	w.must("init")
	w.must("person", "add", "ada", "--name", "Ada Lovelace", "--mail", "ada@example.org")
	w.must("person", "add", "bert", "--name", "Bert Adams")
	w.must("keyfile", "import", vendorFile(t, totp, slow, hotp))
	w.client = w.factorClient("mail")
	w.servers = []*server{w.serve("--limit", "0"), w.serve("--limit", "0")}
	return w, totp, slow, hotp
}

// typing is what is typed at the next prompt: codes, a line each.
func (w walker) typing(codes ...string) {
	w.stdin = strings.NewReader(strings.Join(codes, "\n") + "\n")
}

// refused runs a command that is to end with an exit code, and to say something.
func (w walker) refused(code exitCode, says string, words ...string) {
	w.t.Helper()
	w.err.Reset()
	if got := w.run(words...); got != code || !strings.Contains(w.err.String(), says) {
		w.t.Errorf("tokendesk %s: exit code %d, want %d, saying %q\n%s", strings.Join(words, " "), got, code, says, w.err.String())
	}
}

// everywhere asks every server, each with a code of its own.
func (w walker) everywhere(what, account string, accepted bool, codes ...string) {
	w.t.Helper()
	for i, s := range w.servers {
		w.client.expect(w.t, s, fmt.Sprintf("%s, server %d", what, i), account, codes[i], accepted)
	}
}

// apart waits until no failure delays the next code, and returns the time then.
func (w walker) apart() time.Time { return w.advance(2 * time.Minute) }

// TestHardwareToken: a token comes in a vendor's file, is issued with its code, logs its holder in, is lost and found.
func TestHardwareToken(t *testing.T) {
	t.Parallel()
	w, totp, slow, _ := newWalker(t)
	first, second := w.servers[0], w.servers[1]

	// On the shelf it is nobody's, and opens nothing.
	now := w.apart()
	w.client.expect(t, first, "in stock", "ada", totp.at(t, now), false)
	w.typing(slow.at(t, now))
	w.refused(exitVerify, "this code is from 4711-0032", "token", "issue", totp.serial, "--to", "ada", "--id-check", "staff-card")
	now = w.apart()
	issued := totp.at(t, now)
	w.typing(issued)
	w.must("token", "issue", totp.serial, "--to", "ada", "--id-check", "staff-card")

	// At the relying server: each code once, whichever process is asked, for its holder alone.
	w.apart()
	w.client.expect(t, second, "the code of the issue", "ada", issued, false)
	now = w.apart()
	code := totp.at(t, now)
	w.client.expect(t, first, "somebody else", "bert", code, false)
	if d := w.client.expect(t, first, "the next code", "ada", code, true); d.Type != "totp" {
		t.Errorf("type %q", d.Type)
	}
	w.everywhere("the same code", "ada", false, code, code)
	now = w.apart()
	d := w.client.expectOf(t, second, "a later code", map[string]any{"person": "ada", "factor": totp.at(t, now), "remember": true, "device": "laptop"}, true)
	trusted := map[string]any{"person": "ada", "browser": d.Browser}
	w.client.expectOf(t, first, "trusted browser", trusted, true)

	// Lost: no process takes a code from the moment on at which the command has ended.
	w.must("token", "lost", "ada")
	now = w.apart()
	seen := totp.at(t, now)
	w.everywhere("lost", "ada", false, seen, seen)
	for _, s := range w.servers {
		w.client.expectOf(t, s, "trusted browser, lost", trusted, false)
	}

	// Working again: a temporary code, so often and so long as it was made for.
	temp := w.tempCode("ada", "--uses", "2", "--valid", "4h")
	w.everywhere("temporary code", "ada", true, temp, strings.ToLower(strings.ReplaceAll(temp, "-", " ")))
	w.client.expect(t, first, "used up", "ada", temp, false)
	temp = w.tempCode("ada", "--uses", "5", "--valid", "4h")
	w.client.expect(t, first, "somebody else's", "bert", temp, false)
	w.client.expect(t, first, "in time", "ada", temp, true)
	w.advance(4 * time.Hour)
	w.client.expect(t, second, "expired", "ada", temp, false)

	// Found: back only by a code that is newer than what was seen meanwhile.
	w.typing(seen)
	w.refused(exitVerify, "", "token", "restore", totp.serial)
	now = w.apart()
	fresh := totp.at(t, now)
	w.typing(fresh)
	w.must("token", "restore", totp.serial)
	w.client.expect(t, first, "the code that restored", "ada", fresh, false)
	now = w.apart()
	w.client.expect(t, second, "back", "ada", totp.at(t, now), true)
	w.client.expectOf(t, first, "a browser is trusted anew, not again", trusted, false)
	w.finish()
}

// TestHardwareTokens: the token that pressed ahead needs two codes; a second token of another kind works beside the first, and
// losing one leaves the other.
func TestHardwareTokens(t *testing.T) {
	t.Parallel()
	w, _, slow, hotp := newWalker(t)
	presses := hotp.counted(t, 0, 80)
	issue := []string{"token", "issue", hotp.serial, "--to", "ada", "--id-check", "known"}
	w.typing(presses[40])
	w.refused(exitVerify, "out of step", issue...)
	w.apart()
	w.typing(presses[41], presses[43])
	w.refused(exitVerify, "", issue...)
	w.apart()
	w.typing(presses[44], presses[45])
	w.must(issue...)
	now := w.apart()
	w.typing(slow.timed(t, now, 2)...)
	w.must("token", "issue", slow.serial, "--to", "ada", "--id-check", "known")
	for i, tc := range []struct {
		what     string
		press    int
		accepted bool
	}{
		{"older", 45, false}, {"next", 46, true}, {"again", 46, false}, {"older", 40, false}, {"ten ahead", 57, true}, {"skipped", 50, false}, {"eleven and more ahead", 69, false}, {"next", 58, true},
	} {
		w.apart()
		w.client.expect(t, w.servers[i%2], tc.what, "ada", presses[tc.press], tc.accepted)
	}
	now = w.advance(10 * time.Minute)
	w.client.expect(t, w.servers[0], "the other token", "ada", slow.at(t, now), true)
	w.must("token", "lost", hotp.serial)
	w.apart()
	w.client.expect(t, w.servers[0], "lost", "ada", presses[59], false)
	w.apart() // a code that comes too soon after a wrong one is not looked at, and so not seen
	w.client.expect(t, w.servers[1], "lost", "ada", presses[60], false)
	now = w.apart()
	w.client.expect(t, w.servers[1], "the other token is not lost", "ada", slow.at(t, now), true)
	w.apart()
	w.typing(presses[60])
	w.refused(exitVerify, "not newer", "token", "restore", hotp.serial)
	w.apart()
	w.typing(presses[61])
	w.must("token", "restore", hotp.serial)
	w.client.expect(t, w.servers[0], "back", "ada", presses[62], true)
	w.finish()
}

// tempCode makes a temporary code.
func (r *rig) tempCode(words ...string) string {
	r.t.Helper()
	var answer struct{ Code newTempCode }
	if err := json.Unmarshal(r.handOver(append([]string{"code", "temp", "-o", "json"}, words...)...), &answer); err != nil {
		r.t.Fatal(err)
	}
	return answer.Code.Code
}

// finish stops the servers and checks the audit chains.
func (w walker) finish() {
	w.t.Helper()
	w.client.http.CloseIdleConnections()
	for _, s := range w.servers {
		if log, code := s.stop(w.t, syscall.SIGTERM); code != 0 {
			w.t.Errorf("exit code %d\n%s", code, log)
		}
	}
	w.must("audit", "verify")
}
