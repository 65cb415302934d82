package oathapplet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	virtual "github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/vpcd"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// judge is Debian's ykman 4.0.9, its commands and its library in one process: it reads what is on the key under the password "ours", and
// then writes accounts and the password "theirs".
const judge = `
import json, sys, time
from click.testing import CliRunner
from ykman.cli.__main__ import cli
from ykman.pcsc import list_devices
from yubikit.core.smartcard import SmartCardConnection
from yubikit.oath import OathSession

def run(*args):
    r = CliRunner().invoke(cli, ["--reader", sys.argv[1], "oath", *args], catch_exceptions=False)
    if r.exit_code:
        sys.exit("%s: %s" % (args, r.output))
    return r.output.strip()

while True: # pcscd notices cards twice a second
    try:
        list_devices(sys.argv[1])[0].open_connection(SmartCardConnection).close()
        break
    except Exception:
        time.sleep(0.05)
out = {"wrong": CliRunner().invoke(cli, ["--reader", sys.argv[1], "oath", "accounts", "list", "-p", "wrong"]).exit_code,
    "list": run("accounts", "list", "-o", "-P", "-p", "ours").splitlines()}
with list_devices(sys.argv[1])[0].open_connection(SmartCardConnection) as c:
    s = OathSession(c)
    out["device"] = s.device_id
    s.validate(s.derive_key("ours"))
    out["codes"] = [[k.id.decode(), v.value if v else ""] for k, v in s.calculate_all(1111111109).items()]
    out["hotp"] = s.calculate_code(next(k for k in s.list_credentials() if k.name == "count")).value
run("reset", "-f")
run("accounts", "add", "-f", "-i", "Their", "-d", "8", "-a", "SHA256", "-P", "60", "slow", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA")
run("accounts", "add", "-f", "-o", "HOTP", "-c", "5", "count", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
run("accounts", "add", "-f", "-t", "-a", "SHA512", "short", "GEZDG")
run("access", "change", "-n", "theirs")
print(json.dumps(out))
`

// read is what the judge said.
type read struct {
	Wrong  int
	List   []string
	Device string
	Codes  [][2]string
	HOTP   string
}

// TestYkmanAgrees: over Debian's pcscd, ykman reads accounts, codes and password that we wrote, and we read ykman's.
func TestYkmanAgrees(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
	r := &rig{t: t, key: k, oath: virtual.Install(k, virtual.Options{})}
	k.OnTouchWait(func() bool { return true })
	r.open()
	r.put(dave(), "short", 0)
	r.put(count(), rfcSeed(20), 7)
	slow := Account{Issuer: "Größe", Name: "dave/x:y", Kind: token.TOTP, Hash: oath.SHA512, Digits: 7, Period: 90 * time.Second}
	r.put(slow, rfcSeed(64), 0)
	long := Account{Name: "long", Kind: token.TOTP, Hash: oath.SHA1, Digits: 8, Period: DefaultPeriod}
	r.put(long, rfcSeed(64)+"and more than a block", 0)
	touch := Account{Name: "touch", Kind: token.TOTP, Hash: oath.SHA1, Digits: 6, Period: DefaultPeriod, Touch: true}
	r.put(touch, rfcSeed(20), 0)
	if err := r.SetPassword(t.Context(), secret.Copy([]byte("ours"))); err != nil {
		t.Fatal(err)
	}
	device := r.Info().DeviceID
	said := ask(t, k)
	want := read{
		Wrong: 1, Device: device, HOTP: codeOf(t, oath.SHA256, 20, 8, 7),
		List: []string{"count, HOTP, 0", slow.ID() + ", TOTP, 90", "long, TOTP, 30", "Nextcloud:dave, TOTP, 30", "touch, TOTP, 30"},
		Codes: [][2]string{
			{"Nextcloud:dave", seedCode(t, "short", oath.SHA1, 6, 37037036)}, {"count", ""}, {slow.ID(), codeOf(t, oath.SHA512, 64, 7, 12345678)},
			{"long", seedCode(t, rfcSeed(64)+"and more than a block", oath.SHA1, 8, 37037036)}, {"touch", ""},
		},
	}
	if got, want := string(must(json.Marshal(said))(t)), string(must(json.Marshal(want))(t)); got != want {
		t.Errorf("ykman read\n%s\nwant\n%s", got, want)
	}
	readTheirs(r, device)
}

func readTheirs(r *rig, device string) {
	t := r.t
	r.open()
	if i := r.Info(); !i.Locked || i.DeviceID == device {
		t.Errorf("%+v", i)
	}
	if err := r.Unlock(t.Context(), DeriveKey(secret.Copy([]byte("theirs")), r.Info().Salt)); err != nil {
		t.Fatal(err)
	}
	entries := must(r.CalculateAll(t.Context(), time.Unix(1111111109, 0)))(t)
	want := []Entry{
		{Account{"Their", "slow", token.TOTP, oath.SHA256, 8, time.Minute, false},
			Code{codeOf(t, oath.SHA256, 32, 8, 18518518), time.Unix(1111111080, 0), time.Unix(1111111140, 0)}},
		{Account: Account{Name: "count", Kind: token.HOTP, Hash: oath.SHA1, Digits: 6}},
		{Account: Account{Name: "short", Kind: token.TOTP, Hash: oath.SHA512, Digits: 6, Period: DefaultPeriod, Touch: true}},
	}
	for i := range max(len(entries), len(want)) {
		if i >= len(entries) || i >= len(want) || entries[i] != want[i] {
			t.Fatalf("we read\n%+v\nwant\n%+v", entries, want)
		}
	}
	for i, code := range []string{seedCode(t, rfcSeed(20), oath.SHA1, 6, 5), seedCode(t, "123", oath.SHA512, 6, 37037036)} {
		if got := must(r.Calculate(t.Context(), want[i+1].Account, time.Unix(1111111109, 0)))(t); got.Value != code {
			t.Errorf("%s: %s, want %s", want[i+1].Name, got.Value, code)
		}
	}
}

func seedCode(t *testing.T, seed string, h oath.Hash, digits int, factor int64) string {
	return must(oath.New(secret.Copy([]byte(seed)), h, digits))(t).Code(factor)
}

// ask runs the judge on a key in a reader of a pcscd of its own.
func ask(t *testing.T, k *vkey.Key) (said read) {
	t.Helper()
	const python = "/usr/bin/python3"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "oath") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := exec.CommandContext(ctx, python, "-c", "import ykman.pcsc").Run(); err != nil {
		missing(t, err)
	}
	d, err := vpcd.Start(ctx, dir, k)
	if errors.Is(err, vpcd.ErrMissing) {
		missing(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	script := filepath.Join(dir, "judge.py")
	if err := os.WriteFile(script, []byte(judge), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, python, script, d.Readers[0])
	cmd.Env = append(os.Environ(), d.Env(), "HOME="+dir, "LC_ALL=C.UTF-8")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &said)
	}
	if err != nil {
		t.Fatalf("ykman: %v\n%s", err, out)
	}
	return said
}

// missing skips, or fails where the judges are demanded.
func missing(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("TOKENDESK_JUDGES") == "1" {
		t.Fatal(err)
	}
	t.Skip(err)
}
