package validate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/memory"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

var now = time.Date(2024, 5, 6, 7, 8, 9, 123e6, time.UTC)

// desk is a store with one credential and a Verifier.
type desk struct {
	store *memory.Store
	id    token.CredentialID
	c     storetest.Credential
	v     *validate.Verifier
}

func newDesk(t testing.TB, s token.State) desk {
	t.Helper()
	d := desk{store: new(memory.Store), c: storetest.Sample(1, s)}
	d.id = add(t, d.store, d.c)
	d.v = validate.New(d.store, func() time.Time { return now })
	return d
}

func add(t testing.TB, s *memory.Store, c storetest.Credential) token.CredentialID {
	t.Helper()
	id, err := s.Add(c.PublicID, secret.Copy(c.Key[:]), secret.Copy(c.PrivateID[:]), c.State)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (d desk) press(t testing.TB, use uint16, session uint8) string {
	t.Helper()
	return d.c.Press(t, yubiotp.Token{UseCounter: use, SessionCounter: session, Timestamp: 1000})
}

func verify(t *testing.T, v *validate.Verifier, otp, nonce string) validate.Result {
	t.Helper()
	r, err := v.Verify(t.Context(), validate.Request{OTP: otp, Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Note(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func dvorak(otp string) string {
	return strings.Map(func(c rune) rune { return rune("jxe.uidchtnbpygk"[strings.IndexRune(modhex.Alphabet, c)]) }, otp)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Programmed)
	wrong := d.c
	wrong.PrivateID[5] ^= 1
	unknown := storetest.Sample(2, token.Active)
	press := yubiotp.Token{UseCounter: 9, SessionCounter: 9}
	for _, tc := range []struct {
		name, otp, nonce string
		outcome          validate.Outcome
		reason           validate.Reason
		noted            bool
	}{
		{"empty", "", "n", validate.BadOTP, validate.ReasonMalformed, false},
		{"a word", "hello", "n", validate.BadOTP, validate.ReasonMalformed, false},
		{"blank inside", d.press(t, 1, 0)[:20] + " " + d.press(t, 1, 0)[20:], "n", validate.BadOTP, validate.ReasonMalformed, false},
		{"unknown", unknown.Press(t, press), "n", validate.BadOTP, validate.ReasonUnknown, false},
		{"other private ID", wrong.Press(t, press), "n", validate.BadOTP, validate.ReasonPrivateID, true},
		{"of another key", d.c.PublicID.String() + unknown.Press(t, press)[12:], "n", validate.BadOTP, validate.ReasonCRC, true},
		{"first", d.press(t, 1, 0), "n", validate.Accepted, validate.ReasonAccepted, false},
		{"again", d.press(t, 1, 0), "m", validate.Replayed, validate.ReasonSame, true},
		{"retried", d.press(t, 1, 0), "n", validate.ReplayedRequest, validate.ReasonRetry, true},
		{"upper case, blanks", "\t" + strings.ToUpper(d.press(t, 1, 1)) + "\r\n", "n", validate.Accepted, validate.ReasonAccepted, false},
		{"Dvorak", dvorak(d.press(t, 1, 2)), "n", validate.Accepted, validate.ReasonAccepted, false},
		{"Dvorak again", d.press(t, 1, 2), "m", validate.Replayed, validate.ReasonSame, true},
		{"older", d.press(t, 1, 1), "n", validate.Replayed, validate.ReasonOlder, true},
	} {
		before := len(d.store.Events())
		r := verify(t, d.v, tc.otp, tc.nonce)
		if r.Outcome != tc.outcome || r.Reason != tc.reason || r.Noted() != tc.noted {
			t.Errorf("%s: %s %q noted %v; want %s %q %v", tc.name, r.Outcome, r.Reason, r.Noted(), tc.outcome, tc.reason, tc.noted)
		}
		events := d.store.Events()[before:]
		if !tc.noted && tc.outcome != validate.Accepted {
			if len(events) != 0 {
				t.Errorf("%s: events %+v", tc.name, events)
			}
			continue
		}
		if want := (validate.Event{PublicID: d.c.PublicID, Result: string(tc.outcome), Reason: tc.reason}); len(events) != 1 || events[0] != want {
			t.Errorf("%s: events %+v, want %+v", tc.name, events, want)
		}
	}
}

// TestBothReadings takes the fifth OTP of reference validation-protocol.md §19, which is also one typed on Dvorak.
func TestBothReadings(t *testing.T) {
	t.Parallel()
	const otp = "cccccccccbchbbghjihgbiknuhcgckubkdtcnhncikkt"
	store := new(memory.Store)
	id, err := token.ParsePublicID(otp[:12])
	if err != nil {
		t.Fatal(err)
	}
	c := storetest.Credential{PublicID: id, Key: [16]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, PrivateID: [6]byte{10, 11, 12, 13, 14, 15}, State: token.Active}
	add(t, store, c)
	v := validate.New(store, func() time.Time { return now })
	if n := len(validate.Readings(otp)); n != 2 {
		t.Fatalf("%d readings", n)
	}
	if r := verify(t, v, otp, "n"); r.Outcome != validate.Accepted || r.Marks.Dvorak {
		t.Errorf("as typed: %s %q %+v", r.Outcome, r.Reason, r.Marks)
	}
	other := storetest.Sample(0, token.Active) // typed on Dvorak it is ModHex too, for some press
	add(t, store, other)
	for n := range uint32(1 << 20) {
		typed := dvorak(other.Press(t, yubiotp.Token{UseCounter: 1, Timestamp: n}))
		if len(validate.Readings(typed)) != 2 {
			continue
		}
		if r := verify(t, v, typed[:len(typed)-1]+"j", "n"); r.Reason != validate.ReasonCRC || r.Credential == 0 {
			t.Errorf("on Dvorak, changed: %s %q", r.Outcome, r.Reason)
		}
		if r := verify(t, v, typed, "n"); r.Outcome != validate.Accepted || !r.Marks.Dvorak {
			t.Errorf("on Dvorak: %s %q %+v", r.Outcome, r.Reason, r.Marks)
		}
		return
	}
	t.Fatal("no such press")
}

// TestUnknownDoesTheSameWork: an unknown public ID costs as many decryptions as a known one.
func TestUnknownDoesTheSameWork(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Active)
	unknown := storetest.Sample(2, token.Active)
	for name, tc := range map[string]struct {
		otp  string
		want int
	}{
		"known": {d.press(t, 1, 0), 1}, "known, wrong": {d.c.PublicID.String() + unknown.Press(t, yubiotp.Token{})[12:], 1},
		"unknown": {unknown.Press(t, yubiotp.Token{}), 1}, "unknown on Dvorak": {dvorak("v" + unknown.Press(t, yubiotp.Token{})[1:]), 1},
		"two readings, both unknown": {strings.Repeat("c", 44), 2}, "no OTP": {"123456", 0},
	} {
		n := 0
		v := validate.New(d.store, func() time.Time { return now })
		v.CountOpens(&n)
		if verify(t, v, tc.otp, "n"); n != tc.want {
			t.Errorf("%s: %d decryptions, want %d", name, n, tc.want)
		}
	}
}

// TestOpenDoesTheSameWork: nor does the time tell a KSM's caller which public IDs are known, blocked or none of its business.
func TestOpenDoesTheSameWork(t *testing.T) {
	t.Parallel()
	unknown := storetest.Sample(2, token.Active)
	for name, tc := range map[string]struct {
		setup  func(d desk)
		other  bool // the OTP of a key that is not here
		groups []string
		opened bool
		reason validate.Reason
	}{
		"known":         {opened: true},
		"unknown":       {other: true, reason: validate.ReasonUnknown},
		"blocked":       {setup: func(d desk) { _ = d.store.Change(d.id, token.Lose) }, reason: validate.ReasonBlocked},
		"other group's": {groups: []string{"staff"}, reason: validate.ReasonNotAllowed},
	} {
		d := newDesk(t, token.Active)
		if tc.setup != nil {
			tc.setup(d)
		}
		otp := d.press(t, 1, 0)
		if tc.other {
			otp = unknown.Press(t, yubiotp.Token{})
		}
		n := 0
		v := validate.New(d.store, func() time.Time { return now })
		v.CountOpens(&n)
		got, err := v.Open(t.Context(), validate.Readings(otp)[0], tc.groups)
		if err != nil || n != 1 || got.Opened != tc.opened || got.Reason != tc.reason || !tc.opened && got.OTP != (yubiotp.Token{}) {
			t.Errorf("%s: %d decryptions, %+v, %v", name, n, got, err)
		}
		if c, err := d.store.Find(t.Context(), d.c.PublicID); err != nil || c.Row.Counters.Use != -1 || len(d.store.Events()) != 0 {
			t.Errorf("%s: opening changed the store", name)
		}
	}
}

// TestDummyOpensNothing: an OTP made with the dummy's key and private ID, all zero, is still unknown.
func TestDummyOpensNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Active)
	zero := storetest.Credential{PublicID: storetest.Sample(7, token.Active).PublicID}
	if r := verify(t, d.v, zero.Press(t, yubiotp.Token{UseCounter: 3}), "n"); r.Outcome != validate.BadOTP || r.Reason != validate.ReasonUnknown {
		t.Errorf("%s %q", r.Outcome, r.Reason)
	}
}

func TestBlockedSpends(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Active)
	verify(t, d.v, d.press(t, 1, 0), "n")
	if err := d.store.Change(d.id, token.Lose); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, d.v, d.press(t, 2, 0), "n"); r.Outcome != validate.BadOTP || r.Reason != validate.ReasonBlocked {
		t.Errorf("blocked: %s %q", r.Outcome, r.Reason)
	}
	if err := d.store.Change(d.id, token.Restore); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		session uint8
		want    validate.Outcome
	}{{0, validate.Replayed}, {1, validate.Accepted}} {
		if r := verify(t, d.v, d.press(t, 2, tc.session), "n"); r.Outcome != tc.want {
			t.Errorf("(2, %d) after restoring: %s, want %s", tc.session, r.Outcome, tc.want)
		}
	}
	want := []string{"OK", "BAD_OTP", "REPLAYED_OTP", "OK"}
	var got []string
	for _, e := range d.store.Events() {
		got = append(got, e.Result)
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestReadOnlyWritesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Active)
	dry := validate.New(validate.ReadOnly(d.store), func() time.Time { return now })
	for range 2 {
		if r := verify(t, dry, d.press(t, 1, 0), "n"); r.Outcome != validate.Accepted {
			t.Errorf("dry: %s", r.Outcome)
		}
	}
	if r := verify(t, d.v, d.press(t, 1, 0), "m"); r.Outcome != validate.Accepted {
		t.Errorf("wet: %s", r.Outcome)
	}
	if r := verify(t, dry, d.press(t, 1, 0), "n"); r.Outcome != validate.Replayed {
		t.Errorf("dry, spent: %s", r.Outcome)
	}
	if err := d.store.Change(d.id, token.Lose); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dry, d.press(t, 2, 0), "n"); r.Reason != validate.ReasonBlocked {
		t.Errorf("dry, blocked: %q", r.Reason)
	}
	if n := len(d.store.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}
