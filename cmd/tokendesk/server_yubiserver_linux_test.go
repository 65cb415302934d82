package main

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"syscall"
	"testing"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// TestTakeOverYubiserver lets Debian's yubiserver spend an OTP, and takes its file over: the OTP is spent here too, the next one counts,
// and its client goes on with its number and key.
func TestTakeOverYubiserver(t *testing.T) {
	t.Parallel()
	used, disabled := newPresser(t, 0), newPresser(t, 1)
	const apiKey = "abcdefghij0123456789"
	o := newOldServer(t, func(admin func(words ...string)) {
		for name, k := range map[string]*presser{"ada": used, "bert": disabled} {
			admin("-y", "-a", name, modhex.EncodeToString(k.publicID), hex.EncodeToString(k.drawn[16:]), hex.EncodeToString(k.drawn[:16]))
		}
		admin("-y", "-d", "bert")
		admin("-o", "-a", "carol", "ubhe12345678", hex.EncodeToString([]byte("12345678901234567890")))
		admin("-p", "-a", "mail", apiKey)
	})
	c := relying{1, base64.StdEncoding.EncodeToString([]byte(apiKey))}
	o.start(t)
	if got, err := c.ask(t.Context(), o.address, used.otp(3<<8|7), "aaaaaaaaaaaaaaaaaaaa"); got != "OK" {
		t.Fatalf("yubiserver: %s, %v", got, err)
	}
	o.stop()

	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "carol")
	r.must("yubiserver", "import", "--dry-run", o.file)
	r.err.Reset()
	r.must("yubiserver", "import", o.file)
	for _, want := range []string{"yubikeys: 2 taken over", "oathtokens: 1 taken over", "apikeys: 1 taken over", "inactive there, so it is blocked here"} {
		if !strings.Contains(r.err.String(), want) {
			t.Errorf("no %q in\n%s", want, &r.err)
		}
	}
	r.must("yubiserver", "import", o.file)
	s := r.serve()
	for _, tc := range []struct {
		k     *presser
		order uint32
		want  string
	}{{used, 3<<8 | 7, "REPLAYED_OTP"}, {used, 3<<8 | 6, "REPLAYED_OTP"}, {used, 3<<8 | 8, "OK"}, {disabled, 1 << 8, "BAD_OTP"}} {
		if got := r.ask(c, s, tc.k.otp(tc.order)); got != tc.want {
			t.Errorf("press %d: %s, want %s", tc.order, got, tc.want)
		}
	}
	if log, code := s.stop(t, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
	r.out.Reset()
	r.must("token", "list", "-o", "json")
	for _, want := range []string{"ubhe12345678", "in_stock", "carol"} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("no %q in\n%s", want, &r.out)
		}
	}
}
