package safeword

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The shape of files that LinOTP reads, with keys of sample.
const (
	head   = "# ===== SafeWord Authenticator Records $Version: 100$ =====\n"
	event  = "dn: sccAuthenticatorId=UBOM00900001\nobjectclass: sccCompatibleToken\nsccAuthenticatorId: UBOM00900001\nsccTokenType: eToken-PASS-ES\nsccTokenData: sccKey=C8C48C1E49CBBB35517E4F414F26579F8085D955;sccMode=E;sccPwLen=6;sccVer=6.20;\nsccSignature:MC0CFGxPAjrb\n"
	timed  = "dn: sccAuthenticatorId=TOTP00900004\nobjectclass: sccCompatibleToken\nsccAuthenticatorId: TOTP00900004\nsccTokenType: eToken-PASS-TS\nsccTokenData: sccKey=" + sample.SeedDave + ";sccMode=T;sccPwLen=6;sccVer=6.20;sccTick=60;crypto=HmacSHA256\nsccSignature: MC4CFQDju23M\n"
	timed2 = "sccAuthenticatorId: TOTP00900003 # by hand\nsccTokenData: sccMode=t; sccKey=" + sample.SeedCarol + "\n"
)

func noOwner(r keyfile.Record) keyfile.Record { r.Owner = ""; return r }

func TestDecode(t *testing.T) {
	t.Parallel()
	dave := sample.With(noOwner(sample.Dave()), func(r *keyfile.Record) { r.Period = time.Minute })
	want := []keyfile.Record{noOwner(sample.Alice()), dave, noOwner(sample.Carol())}
	text := head + event + "\n" + timed + "\n\n" + timed2
	for name, text := range map[string]string{"blank lines": text, "no last end": strings.TrimSpace(text), "CRLF": strings.ReplaceAll(text, "\n", "\r\n"),
		"BOM": "\xEF\xBB\xBF" + text, "no blank before dn": head + event + timed + "\n" + timed2, "comments": strings.ReplaceAll(text, "objectclass", "# note\nobjectclass")} {
		sample.AssertRecords(t, Reader{}, name, text, want)
		if n := (Reader{}).Detect([]byte(text)); n != 100 {
			t.Errorf("%s: Detect says %d", name, n)
		}
	}
	recs, _ := sample.Decode(Reader{}, text)
	if recs[0].Line != 2 || recs[1].Line != 9 || recs[2].Line != 17 {
		t.Errorf("lines %d, %d, %d", recs[0].Line, recs[1].Line, recs[2].Line)
	}
	if n := (Reader{}).Detect([]byte(event)); n != 90 {
		t.Errorf("without title: Detect says %d", n)
	}
	if n := (Reader{}).Detect([]byte("dn: a\n")); n != 0 {
		t.Errorf("LDIF: Detect says %d", n)
	}
}

func TestBadRecords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, old, new, field string }{
		{"clock", "sccTick=60", "sccTick=60;sccPrTime=2013/03/12 00:00:00", "clock"},
		{"odd key", sample.SeedDave, sample.SeedDave[1:], "key"},
		{"no key", "sccKey=", "sccKei=", "key"},
		{"two keys", "sccMode=T", "sccMode=T;sccKey=00", "key"},
		{"two data lines", "sccSignature", "sccTokenData: sccKey=" + sample.SeedBob + "\nsccSignature", "key"},
		{"mode", "sccMode=T", "sccMode=X", "type"},
		{"digits", "sccPwLen=6", "sccPwLen=10", "digits"},
		{"period", "sccTick=60", "sccTick=1e9", "period"},
		{"hash", "HmacSHA256", "HmacMD5", "hash"},
		{"serial", "\nsccAuthenticatorId: TOTP00900004", "", "serial"},
		{"tab in the serial", "sccAuthenticatorId: TOTP", "sccAuthenticatorId: T\tTP", "serial"},
	} {
		text := head + event + "\n" + strings.Replace(timed, tc.old, tc.new, 1) + "\n" + timed2
		recs, errs := sample.Decode(Reader{}, text)
		var bad *keyfile.RowError
		if len(recs) != 2 || len(errs) != 1 || !errors.As(errs[0], &bad) || bad.Line != 9 || bad.Field != tc.field {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
			continue
		}
		if echo := sample.Echo(bad, timed); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, bad, echo)
		}
	}
}

func TestHostile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{"\xFF\xFEL\x00": keyfile.ErrUTF16, "-----BEGIN PGP MESSAGE-----\n": keyfile.ErrOpenPGP} {
		if recs, errs := sample.Decode(Reader{}, text); len(recs) > 0 || len(errs) != 1 || !errors.Is(errs[0], want) {
			t.Errorf("%q: %v", text, errs)
		}
	}
	for text, rows := range map[string]int{"": 0, strings.Repeat("\x00", 1<<20): 1, strings.Repeat("a", 1<<20): 1, strings.Repeat("a:b\n", 1<<16): 1, event[:150]: 1, "PK\x03\x04": 1} {
		if recs, errs := sample.Decode(Reader{}, text); len(recs) > 0 || len(errs) != rows {
			t.Errorf("%.20q: %d records, %v", text, len(recs), errs)
		}
	}
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	sample.AssertHostile(t, Reader{}, head+event+"\n"+timed)
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Reader{}, []string{head + event, timed, timed2, event + "\n" + timed2}, sample.Sound(token.HOTP, token.TOTP), sample.Labelled)
}
