package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokendesk/tokendesk/validate/store/postgres/pgtest"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// oldPool is an invented yubikey-val pool with its key storage module: keys, of which 2 is inactive, and clients 7 and, inactive, 9.
type oldPool struct {
	keys                       []*presser
	mail                       relying
	ksm, clients, counterFiles string
	spent                      []uint32 // of each key: the last OTP that the pool accepted
}

func newOldPool(t *testing.T) *oldPool {
	t.Helper()
	p := &oldPool{mail: relying{7, base64.StdEncoding.EncodeToString([]byte("pool client's 20 key"))}, spent: []uint32{5<<8 | 3, 1 << 8, 9<<8 | 200, 0}}
	ksm, counters := "# ykksm 1\n# serialnr,identity,internaluid,aeskey,lockpw,created,accessed[,progflags]\n", ""
	for i, spent := range p.spent {
		k := newPresser(t, i)
		p.keys = append(p.keys, k)
		id := modhex.EncodeToString(k.publicID)
		ksm += fmt.Sprintf("%d,%s,%x,%x,881ae7bee927,2009-12-14T16:40:57,\n", 20-i, id, k.drawn[16:], k.drawn[:16])
		use, session, active := int(spent>>8), int(spent&255), 1
		if i == 2 {
			active = 0
		}
		if spent == 0 {
			use, session = -1, -1
		}
		counters += fmt.Sprintf("%d,1359470658,1359470659,%s,%d,%d,32729,4,aoincuhfuahsaoin,no, notes\n", active, id, use, session)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p.ksm, p.counterFiles = write("keys.ksm", ksm), write("counters.csv", counters)
	p.clients = write("clients.csv", "7,1,1359550387,"+p.mail.key+",user@example.com,mail, and more,ccccccccccce\n9,0,1359550387,"+p.mail.key+",,,\n")
	return p
}

// TestTakeOverPool moves from a whole yubikey-val pool: what was spent there is spent here, the next OTP counts, and its client notices
// nothing, not even in the signature.
func TestTakeOverPool(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		takeOverPool(t, newRig(t, 2))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, 2)
		where := pgtest.Shared(t).NewDatabase(t)
		r.remote(where)
		takeOverPool(t, r, "--store", where, "--key", filepath.Join(r.dataDir, sealingFile))
	})
}

// takeOverPool does so with a store; where has the server process find it, if it is not where the rig has its own.
func takeOverPool(t *testing.T, r *rig, where ...string) {
	p := newOldPool(t)
	r.must("init")
	if code := r.run("counter", "import", p.counterFiles); code != exitUsage || !strings.Contains(r.err.String(), "bring the keys in first") {
		t.Errorf("counters before keys: exit code %d\n%s", code, &r.err)
	}
	for _, step := range []struct {
		words []string
		want  []string
	}{
		{[]string{"keyfile", "import", p.ksm}, []string{"4 new", "ykksm-checksum"}},
		{[]string{"counter", "import", "--dry-run", p.counterFiles}, nil},
		{[]string{"counter", "import", p.counterFiles}, []string{"3 taken over, 1 known already, 0 refused", "blocked here", "ykval-checksum-deactivated"}},
		{[]string{"counter", "import", p.counterFiles}, []string{"0 taken over, 4 known already, 0 refused"}},
		{[]string{"client", "import", "--dry-run", p.clients}, nil},
		{[]string{"client", "import", p.clients}, []string{"2 taken over, 0 known already", "revoked here", "ykval-checksum-clients"}},
		{[]string{"client", "import", p.clients}, []string{"0 taken over, 2 known already"}},
	} {
		r.err.Reset()
		r.must(step.words...)
		for _, w := range step.want {
			if !strings.Contains(r.err.String(), w) {
				t.Errorf("%v: no %q in\n%s", step.words, w, &r.err)
			}
		}
	}
	s := r.serve(append(where, "--sync-from", "127.0.0.1", "--revoke-from", "127.0.0.0/29", "--ksm", "--ksm-loopback")...)
	ask := func(key int, order uint32, want string) {
		t.Helper()
		if got := r.ask(p.mail, s, p.keys[key].otp(order)); got != want {
			t.Errorf("key %d, press %d: %s, want %s", key, order, got, want)
		}
	}
	ask(0, p.spent[0], "REPLAYED_OTP")
	ask(0, p.spent[0]-1, "REPLAYED_OTP")
	ask(0, p.spent[0]+1, "OK")
	ask(1, p.spent[1], "REPLAYED_OTP")
	ask(1, p.spent[1]+1, "OK")
	ask(2, p.spent[2]+1, "BAD_OTP")
	ask(3, 0, "OK")
	p.during(t, s, ask)
	if log, code := s.stop(t, syscall.SIGTERM); code != 0 || strings.Contains(log, "counter=") {
		t.Errorf("exit code %d\n%s", code, log)
	}
	r.must("audit", "verify")
}

// during is what the pool and its scripts send while the move goes on.
func (p *oldPool) during(t *testing.T, s *server, ask func(key int, order uint32, want string)) {
	t.Helper()
	id := func(key int) string { return modhex.EncodeToString(p.keys[key].publicID) }
	get := func(path string, q url.Values, want string) {
		t.Helper()
		res, err := http.Get("http://" + s.address + path + "?" + q.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: no %q in %q, %v", path, want, body, err)
		}
	}
	sync := func(key int, order uint32, want string) {
		t.Helper()
		get("/wsapi/2.0/sync", url.Values{"otp": {p.keys[key].otp(order)}, "modified": {"1359470660"}, "nonce": {"aaaaaaaaaaaaaaaaaaaa"}, "yk_publicname": {id(key)},
			"yk_counter": {fmt.Sprint(order >> 8)}, "yk_use": {fmt.Sprint(order & 255)}, "yk_high": {"1"}, "yk_low": {"2"}}, want)
	}
	get("/wsapi/2.0/verify", url.Values{"id": {"9"}, "nonce": {"aaaaaaaaaaaaaaaaaaaa"}, "otp": {p.keys[1].otp(6 << 8)}}, "status=NO_SUCH_CLIENT")
	sync(1, 7<<8, "yk_counter=1\r\nyk_use=1\r\n") // those from before
	sync(1, 7<<8, "yk_counter=7\r\nyk_use=0\r\n")
	ask(1, 7<<8, "REPLAYED_OTP")
	ask(1, 7<<8+1, "OK")
	sync(2, 10<<8, "status=BAD_OTP")
	get("/wsapi/decrypt", url.Values{"otp": {p.keys[0].otp(5<<8 | 3)}}, "OK counter=0005 low=2818 high=00 use=03\n")
	get("/wsapi/decrypt", url.Values{"otp": {p.keys[2].otp(11 << 8)}}, "ERR Unknown yubikey\n")
	get("/wsapi/revoke", url.Values{"yk": {id(0)}, "do": {"disable"}}, "OK Processed "+id(0)+" with disable\n")
	ask(0, 8<<8, "BAD_OTP")
	get("/wsapi/revoke", url.Values{"yk": {id(0)}, "do": {"enable"}}, "OK Processed "+id(0)+" with enable\n")
	ask(0, 8<<8, "REPLAYED_OTP") // it was pressed while the token was blocked
	ask(0, 8<<8+1, "OK")
	get("/wsapi/revoke", url.Values{"yk": {id(2)}, "do": {"enable"}}, "ERROR Not enabled: ") // it was blocked by the import
	get("/wsapi/2.0/resync", url.Values{"yk": {"all"}}, "404")
}
