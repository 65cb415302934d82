//go:build cgo && !nopcsc

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
)

// oathJudge is Debian's ykman 4.0.9 in one process: it lists the accounts and makes a code under the password "ours", and then, when it is
// given a line, overwrites an account and adds one.
const oathJudge = `
import json, sys
from click.testing import CliRunner
from ykman.cli.__main__ import cli

def run(*args):
    r = CliRunner().invoke(cli, ["--reader", sys.argv[1], "oath", "accounts", *args, "-p", "ours"], catch_exceptions=False)
    if r.exit_code:
        sys.exit("%s: %s" % (args, r.output))
    return r.output.strip()

print(json.dumps({"list": run("list", "-o", "-P").splitlines(), "code": run("code", "-s", "Example:ada")}), flush=True)
sys.stdin.readline()
run("add", "-f", "-i", "Example", "ada", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
run("add", "-f", "-i", "Their", "-d", "8", "eve", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
`

// TestAccountsAndYkman: over Debian's pcscd, ykman reads the accounts that oath add put, with the codes that the server takes, under the
// password that oath password set. What it overwrote is seen, and stays.
func TestAccountsAndYkman(t *testing.T) {
	t.Parallel()
	k := newPIVKey(t, vkey.YubiKey543)
	const python = "/usr/bin/python3"
	if err := exec.CommandContext(t.Context(), python, "-c", "import ykman.pcsc").Run(); err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	oath := func(want exitCode, words ...string) string {
		t.Helper()
		said, code := k.run(append([]string{"oath"}, words...)...)
		if code != want {
			t.Fatalf("oath %q: exit code %d\n%s", words, code, said)
		}
		return said
	}
	word, judge := k.path("word.txt"), k.path("judge.py")
	for name, text := range map[string]string{word: "ours\n", judge: oathJudge} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.r.must("person", "add", "ada")
	oath(exitDone, "add", "Example:ada", "--to", "ada")
	oath(exitDone, "add", "Example:count", "--type", "hotp", "--digits", "8", "--counter", "7")
	oath(exitDone, "password", "--new-password-file", word)
	cmd := exec.CommandContext(t.Context(), python, judge, k.reader)
	cmd.Env = append(os.Environ(), k.env, "HOME="+filepath.Dir(judge), "LC_ALL=C.UTF-8")
	cmd.Stderr = os.Stderr
	in, inErr := cmd.StdinPipe()
	out, err := cmd.StdoutPipe()
	if err = errors.Join(inErr, err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	var said struct {
		List []string
		Code string
	}
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatalf("ykman: %v", errors.Join(err, in.Close(), cmd.Wait()))
	}
	if got := strings.Join(said.List, "; "); got != "Example:ada, TOTP, 30; Example:count, HOTP, 0" {
		t.Errorf("ykman lists %s", got)
	}
	k.r.stdin = strings.NewReader(said.Code + "\n")
	k.r.must("verify", "--person", "ada") // while it is young: ykman may take long for the rest
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatalf("ykman: %v", err)
	}
	if said := oath(exitDone, "list", "-o", "csv"); !strings.Contains(said, "Their,eve,totp,sha1,8,30 s,no,") || !strings.Contains(said, "Example,count,hotp,sha1,8,,no,active") {
		t.Errorf("we list\n%s", said)
	}
	if said := oath(exitRefused, "add", "Example:ada"); !strings.Contains(said, "not of this store") {
		t.Errorf("what ykman put in our account's place:\n%s", said)
	}
	if !oathapplet.Of(k.key).Holds("Example:ada", []byte("12345678901234567890")) {
		t.Error("it is gone")
	}
}
