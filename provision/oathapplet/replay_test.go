package oathapplet

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// What a YubiKey 5 of firmware 5.4.3 answered over USB CCID: reference yubikey-otp.md §6.3, bytes of the public repository
// cunicu/go-ykoath (Apache-2.0), mockdata/*/yk-5.4.3.
const (
	selected = "00a4040007a000000527210100 7903050403710800745aa047fcfde79000\n0004dead 9000\n"
	putSHA1  = "0001000029710f726663363233382d746573742d3031731621083132333435363738393031323334353637383930 9000\n"
	putTwo   = "0001000035710f726663363233382d746573742d3032732222083132333435363738393031323334353637383930313233343536373839303132 9000\n"
	putThree = "0001000055710f726663363233382d746573742d30337342230831323334353637383930313233343536373839303132333435363738393031323334353637383930313233343536373839303132333435363738393031323334 9000\n"
)

// recording plays a capture, and fails the test where another command comes. What ours asks besides it answers by itself: SELECT after a
// reset as the first time, and LIST before a PUT by what was put. The other client asks for an answer's length at SELECT.
type recording struct {
	t     *testing.T
	lines []string
	first string // answer to SELECT
	held  []byte // answer to LIST
}

func play(t *testing.T, capture string) *recording {
	return &recording{t: t, lines: strings.Split(strings.TrimSpace(capture), "\n")}
}

func (r *recording) Transmit(_ context.Context, b []byte) ([]byte, error) {
	sent := hex.EncodeToString(b)
	if b[1] == insCalculateAll && b[2] == 0x04 {
		sent += "00"
	}
	var want, answer string
	if len(r.lines) > 0 {
		want, answer, _ = strings.Cut(r.lines[0], " ")
	}
	switch {
	case sent == want:
		r.lines = r.lines[1:]
		r.learn(b, answer)
	case b[1] == insCalculateAll && b[2] == 0x04:
		answer = r.first
	case sent == "00a10000":
		return append(bytes.Clone(r.held), 0x90, 0x00), nil
	default:
		r.t.Fatalf("sent %s, want %s", sent, want)
	}
	return unhex(r.t, answer), nil
}

func (r *recording) learn(b []byte, answer string) {
	switch {
	case r.first == "":
		r.first = answer
	case b[1] == insReset:
		r.held = nil
	case b[1] == insPut:
		name, _ := apdu.Find(b[5:], tagName)
		key, _ := apdu.Find(b[5:], tagKey)
		r.held = apdu.AppendTLV(r.held, tagEntry, append([]byte{key[0]}, name...))
	}
}

// begin opens and resets, as every capture begins.
func (r *recording) begin() *Session {
	r.t.Helper()
	s, err := Open(r.t.Context(), r, bytes.NewReader(nil))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := s.Reset(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if len(r.lines) > 0 {
			r.t.Errorf("not sent: %s", r.lines)
		}
	})
	return s
}

func rfc6238(name string, h oath.Hash) Account {
	return Account{Name: name, Kind: token.TOTP, Hash: h, Digits: 8, Period: DefaultPeriod}
}

func putRFC(t *testing.T, s *Session, names ...string) {
	t.Helper()
	hashes := []oath.Hash{oath.SHA1, oath.SHA256, oath.SHA512}
	for i, name := range names {
		if err := s.Put(t.Context(), rfc6238(name, hashes[i]), secret.Copy([]byte(rfcSeed([]int{20, 32, 64}[i]))), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplayTOTP: PUT, LIST, CALCULATE, CALCULATE ALL, DELETE, RESET of the three hashes.
func TestReplayTOTP(t *testing.T) {
	t.Parallel()
	at := time.Unix(59, 0)
	const all = "00a400010a74080000000000000001 710f726663363233382d746573742d3031760508059eb4ea710f726663363233382d746573742d303276050802bfb94e710f726663363233382d746573742d30337605080567e1309000\n"
	names := []string{"rfc6238-test-01", "rfc6238-test-02", "rfc6238-test-03"}
	s := play(t, selected+putSHA1+putTwo+putThree+all).begin()
	putRFC(t, s, names...)
	entries := must(s.CalculateAll(t.Context(), at))(t)
	var codes []string
	for _, e := range entries {
		codes = append(codes, e.Code.Value)
	}
	if !slices.Equal(codes, []string{"94287082", "46119246", "90693936"}) {
		t.Errorf("codes %q", codes)
	}
	const listed = "00a10000 721021726663363233382d746573742d3031721022726663363233382d746573742d3032721023726663363233382d746573742d30339000\n"
	s = play(t, selected+putSHA1+putTwo+putThree+listed).begin()
	putRFC(t, s, names...)
	list := must(s.List(t.Context()))(t)
	if len(list) != 3 || list[2] != (Account{Name: names[2], Kind: token.TOTP, Hash: oath.SHA512, Period: DefaultPeriod}) {
		t.Errorf("%+v", list)
	}
	s = play(t, selected+putSHA1+"00a200011b710f726663363233382d746573742d303174080000000000000001 760508059eb4ea9000").begin()
	putRFC(t, s, names[0])
	code := must(s.Calculate(t.Context(), rfc6238(names[0], ""), at))(t)
	if want := (Code{"94287082", time.Unix(30, 0), time.Unix(60, 0)}); code != want {
		t.Errorf("%+v, want %+v", code, want)
	}
	s = play(t, selected+putSHA1+"0002000011710f726663363233382d746573742d3031 9000\n00a10000 9000").begin()
	putRFC(t, s, names[0])
	if err := s.Delete(t.Context(), rfc6238(names[0], "")); err != nil {
		t.Error(err)
	}
	if list := must(s.List(t.Context()))(t); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	s = play(t, selected+putSHA1+"0004dead 9000\n00a10000 9000").begin()
	putRFC(t, s, names[0])
	if err := s.Reset(t.Context()); err != nil {
		t.Error(err)
	}
	if list := must(s.List(t.Context()))(t); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestReplayWhole: the whole HMAC of a challenge of 5 bytes.
func TestReplayWhole(t *testing.T) {
	t.Parallel()
	s := play(t, selected+putSHA1+"00a2000018710f726663363233382d746573742d3031740568616c6c6f 75150828c6d33a03e7c67940c30d06253f8980f8ef54bd9000").begin()
	putRFC(t, s, "rfc6238-test-01")
	got, err := s.respond(t.Context(), "rfc6238-test-01", []byte("hallo"), false)
	m := hmac.New(sha1.New, []byte(rfcSeed(20)))
	m.Write([]byte("hallo"))
	if err != nil || !bytes.Equal(got, m.Sum([]byte{8})) {
		t.Errorf("%x, %v", got, err)
	}
}

// TestReplayHOTP: first counters, and the challenge that the other client sends for none.
func TestReplayHOTP(t *testing.T) {
	t.Parallel()
	const capture = `0001000029710f726663343232362d746573742d3030731611063132333435363738393031323334353637383930 9000
000100002f710f726663343232362d746573742d30317316110631323334353637383930313233343536373839307a0400000001 9000
00010000377117726663343232362d386469676974732d746573742d30397316110831323334353637383930313233343536373839307a0400000009 9000
00a200011b710f726663343232362d746573742d303074080000000000000001 760506000b86189000
00a200011b710f726663343232362d746573742d303174080000000000000001 7605060004616a9000
00a20001237117726663343232362d386469676974732d746573742d303974080000000000000001 76050802b696699000
`
	s := play(t, selected+capture).begin()
	rows := []struct {
		name   string
		digits int
		moving int64
		want   string
	}{{"rfc4226-test-00", 6, 0, "755224"}, {"rfc4226-test-01", 6, 1, "287082"}, {"rfc4226-8digits-test-09", 8, 9, "45520489"}}
	for _, row := range rows {
		a := Account{Name: row.name, Kind: token.HOTP, Hash: oath.SHA1, Digits: row.digits}
		if err := s.Put(t.Context(), a, secret.Copy([]byte(rfcSeed(20))), row.moving); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range rows {
		r, err := s.respond(t.Context(), row.name, []byte{0, 0, 0, 0, 0, 0, 0, 1}, true)
		if code, bad := decimal(r); err != nil || bad != nil || code != row.want {
			t.Errorf("%s: %s, %v, %v; want %s", row.name, code, err, bad, row.want)
		}
	}
}

// TestReplayTouch: an account that asks for a touch, of a seed of 14 bytes; and the shortest name with one.
func TestReplayTouch(t *testing.T) {
	t.Parallel()
	s := play(t, selected+`0001000024710e746f7563682072657175697265647310220600000000000000000000123412347802 9000
00a400010a74080000000000000001 710e746f7563682072657175697265647c01069000
00a200011a710e746f75636820726571756972656474080000000000000001 760506000dcc5b9000
0001000018710474657374731011060000000000000000000000010203 9000`).begin()
	a := Account{Name: "touch required", Kind: token.TOTP, Hash: oath.SHA256, Digits: 6, Period: DefaultPeriod, Touch: true}
	if err := s.Put(t.Context(), a, secret.Copy(unhex(t, "0000000000000000000012341234")), 0); err != nil {
		t.Fatal(err)
	}
	if entries := must(s.CalculateAll(t.Context(), time.Unix(30, 0)))(t); len(entries) != 1 || entries[0] != (Entry{Account: a}) {
		t.Errorf("%+v", entries)
	}
	if code := must(s.Calculate(t.Context(), a, time.Unix(30, 0)))(t); code.Value != "904283" {
		t.Errorf("code %s", code.Value)
	}
	short := Account{Name: "test", Kind: token.HOTP, Hash: oath.SHA1, Digits: 6}
	if err := s.Put(t.Context(), short, secret.Copy(unhex(t, "0000000000000000000000010203")), 0); err != nil {
		t.Error(err)
	}
}

// TestReplayPassword: the other client makes a code of its own kind, which is told apart, and one is taken away as ours does.
func TestReplayPassword(t *testing.T) {
	t.Parallel()
	const locked = "790305040371088d848ca27d71e9ba7408df54c07d48c0f36f7b01029000"
	s := must(Open(t.Context(), play(t, "00a4040007a000000527210100 "+locked), bytes.NewReader(nil)))(t)
	if i := s.Info(); !i.Locked || !i.HasPassword || i.Version.String() != "5.4.3" || i.DeviceID != "dQ96Fw5bsd5l5BnGtvm/5g" {
		t.Errorf("%+v", i)
	}
	key := DeriveKey(secret.Copy([]byte("x")), s.Info().Salt)
	if err := s.Unlock(t.Context(), key); !errors.Is(err, ErrForeignPassword) {
		t.Errorf("unlock: %v", err)
	}
	s = play(t, selected+"00030000027300 9000").begin()
	if err := s.RemovePassword(t.Context()); err != nil {
		t.Error(err)
	}
}
