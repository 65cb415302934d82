package suite

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"errors"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// kindCases are the cases about every kind of slot and setting.
func kindCases() []testCase {
	return []testCase{
		{name: "HOTP, 6 digits", run: func(r *rig) { testHOTP(r, 6, "", 0) }},
		{name: "HOTP, 8 digits, token identifier, moving factor", run: func(r *rig) { testHOTP(r, 8, "ubhe12345678", 4096) }},
		{name: "HOTP outlives a power cycle", run: testHOTPReplug},
		{name: "static password", run: testScanCodes},
		{name: "encrypted password", run: testEncrypted},
		{name: "HMAC challenge-response", run: testHMAC},
		{name: "HMAC challenge-response, 64 bytes", run: testHMACFixed},
		{name: "HMAC challenge-response with touch", run: testHMACTouch},
		{name: "Yubico challenge-response", run: testYubicoChallenge},
		{name: "challenge to another kind of slot", run: testWrongChallenge},
		{name: "scan map", run: testScanMap},
		{name: "NDEF", run: testNDEF},
		{name: "dormant", run: testDormant},
		{name: "slot 2 protected", run: testProtect},
		{name: "device configuration", run: testDeviceConfig},
	}
}

// write writes a configuration and destroys it.
func (r *rig) write(s *ykslot.Session, slot ykslot.Slot, c ykslot.Config, err error) ykslot.Config {
	r.Helper()
	r.must(err)
	r.must(s.Write(r.ctx, slot, c, none()))
	r.lost = 0
	r.Cleanup(func() {
		c.Key.Destroy()
		c.UID.Destroy()
	})
	return c
}

// predicted touches the slot and wants what its configuration says.
func (r *rig) predicted(slot ykslot.Slot, c ykslot.Config) {
	r.Helper()
	want, ok := c.Press(0)
	if !ok {
		r.Fatal("the press is not predictable")
	}
	defer want.Destroy()
	if got := r.whole(slot, want.Len()); got != string(want.Reveal()) {
		r.Errorf("typed %d characters, not the %d that were predicted", len(got), want.Len())
	}
}

// pressed touches an HOTP slot and wants the code of the moving factor, or of the next after each touch that was lost.
func (r *rig) pressed(slot ykslot.Slot, c ykslot.Config, factor int64) {
	r.Helper()
	want, _ := c.Press(factor)
	defer want.Destroy()
	got := r.whole(slot, want.Len())
	if m, ok := c.MatchPress(got, factor, int(r.lost)); !ok || m != factor+int64(r.lost) {
		r.Errorf("got the code of %d (%t), want that of %d", m, ok, factor+int64(r.lost))
	}
}

func testHOTP(r *rig, digits int, id string, factor int64) {
	s := r.open()
	token, err := ykslot.ParseTokenID(id, 0)
	r.must(err)
	c, err := ykslot.HOTP{TokenID: token, Seed: r.random(ykslot.SeedLen), Digits: digits, MovingFactor: factor, Flags: ykslot.TypingFlags(s.Status().Version)}.Config()
	c = r.write(s, ykslot.Slot2, c, err)
	for n := range int64(2) {
		r.pressed(ykslot.Slot2, c, factor+n)
	}
}

func testHOTPReplug(r *rig) {
	s := r.open()
	c, err := ykslot.HOTP{Seed: r.random(ykslot.SeedLen), Flags: ykslot.TypingFlags(s.Status().Version)}.Config()
	c = r.write(s, ykslot.Slot1, c, err)
	r.pressed(ykslot.Slot1, c, 0)
	lost := r.lost
	r.close()
	r.unplug()
	r.plug()
	r.open()
	r.pressed(ykslot.Slot1, c, 1+int64(lost))
}

func testScanCodes(r *rig) {
	s := r.open()
	us, _ := keyboard.Lookup("us")
	for _, text := range []string{"x", "Hello World!", "0123456789abcdefghijABCDEFGHIJ~}|{?><_"} {
		c, err := ykslot.ScanCodes{Text: secret.Copy([]byte(text)), Layout: us, Flags: ykslot.TypingFlags(s.Status().Version)}.Config()
		r.write(s, ykslot.Slot2, c, err)
		if got := r.whole(ykslot.Slot2, len(text)); got != text {
			r.Errorf("typed %q, want %q", got, text)
		}
	}
}

func testEncrypted(r *rig) {
	s := r.open()
	for _, e := range []ykslot.EncryptedPassword{
		{}, {Numbers: true, Short: true, Upper: true},
		{PublicID: []byte{0xab, 0xcd}, Short: true, Upper: true, PrivateID: secret.Copy([]byte("suite!"))},
	} {
		e.Key, e.Flags = r.random(yubiotp.KeyLen), ykslot.TypingFlags(s.Status().Version)
		c, err := e.Config()
		r.predicted(ykslot.Slot1, r.write(s, ykslot.Slot1, c, err))
	}
}

// hmacOf is HMAC-SHA1 by the standard library.
func hmacOf(key secret.Bytes, message []byte) []byte {
	m := hmac.New(sha1.New, key.Reveal())
	m.Write(message)
	return m.Sum(nil)
}

// onCard is true over the card of a key on USB, which answers no challenges: err must say so.
func (r *rig) onCard(err error) bool {
	r.Helper()
	if r.OpenCard == nil {
		return false
	}
	if !errors.Is(err, ykslot.ErrNeedsHID) {
		r.Errorf("over the card: got %v, want ErrNeedsHID", err)
	}
	return true
}

// answers wants the answer to a challenge.
func (r *rig) answers(s *ykslot.Session, challenge []byte, touch ykslot.TouchFunc, want []byte) {
	r.Helper()
	got, err := s.ChallengeHMAC(r.ctx, ykslot.Slot2, challenge, ykslot.PadYubikit, touch)
	if r.onCard(err) {
		return
	}
	r.must(err)
	defer got.Destroy()
	if !hmac.Equal(got.Reveal(), want) {
		r.Errorf("challenge of %d bytes: another answer", len(challenge))
	}
}

// challengeSlot writes an HMAC slot 2.
func (r *rig) challengeSlot(s *ykslot.Session, h ykslot.ChallengeHMAC) secret.Bytes {
	r.Helper()
	h.Key, h.Flags = r.random(ykslot.SeedLen), ykslot.ChallengeFlags(s.Status().Version)
	c, err := h.Config()
	r.must(err)
	err = s.Write(r.ctx, ykslot.Slot2, c, none())
	r.unsupported(err)
	r.must(err)
	return h.Key
}

func testHMAC(r *rig) {
	s := r.open()
	key := r.challengeSlot(s, ykslot.ChallengeHMAC{})
	for _, n := range []int{1, 8, 31, 62, 63} {
		for _, last := range []byte{0, 1, 0xff} {
			challenge := append(bytes.Repeat([]byte{last}, n-1), last)
			r.answers(s, challenge, nil, hmacOf(key, challenge))
		}
	}
}

// testHMACFixed: a slot for fixed lengths takes all 64 bytes, padding and all.
func testHMACFixed(r *rig) {
	s := r.open()
	key := r.challengeSlot(s, ykslot.ChallengeHMAC{FixedLength: true})
	for _, challenge := range [][]byte{[]byte("short"), bytes.Repeat([]byte{7}, ykslot.MaxChallenge)} {
		r.answers(s, challenge, nil, hmacOf(key, append(challenge[:len(challenge):len(challenge)], make([]byte, ykslot.MaxChallenge-len(challenge))...)))
	}
}

// testHMACTouch: without a touch function the session does not wait; with one it waits until the key was touched.
func testHMACTouch(r *rig) {
	s := r.open()
	key := r.challengeSlot(s, ykslot.ChallengeHMAC{Touch: true})
	_, err := s.ChallengeHMAC(r.ctx, ykslot.Slot2, []byte("x"), ykslot.PadYubikit, nil)
	if r.onCard(err) {
		return
	}
	if !errors.Is(err, ykslot.ErrTouchNeeded) {
		r.Errorf("got %v, want ErrTouchNeeded", err)
	}
	touched := false
	r.answers(s, []byte("x"), func(left time.Duration) error {
		if touched {
			return nil
		}
		touched = true
		if left <= 0 || left > 31*time.Second {
			r.Errorf("%v left", left)
		}
		return r.Press(r.ctx, ykslot.Slot2)
	}, hmacOf(key, []byte("x")))
	if !touched {
		r.Error("answered without a touch")
	}
}

// testYubicoChallenge: equal challenges give different answers, which open to the challenge.
func testYubicoChallenge(r *rig) {
	s := r.open()
	key := r.random(yubiotp.KeyLen)
	c, err := ykslot.ChallengeYubico{Key: key, Flags: ykslot.ChallengeFlags(s.Status().Version)}.Config()
	r.must(err)
	err = s.Write(r.ctx, ykslot.Slot1, c, none())
	r.unsupported(err)
	r.must(err)
	challenge := [ykslot.YubicoChallengeLen]byte{1, 2, 3, 4, 5, 6}
	cipher, err := yubiotp.NewCipher(key, secret.Copy(challenge[:]))
	r.must(err)
	defer cipher.Destroy()
	var seen yubiotp.Token
	for n := range 2 {
		answer, err := s.ChallengeYubico(r.ctx, ykslot.Slot1, challenge, nil)
		if r.onCard(err) {
			return
		}
		r.must(err)
		token, verdict := cipher.Open([yubiotp.BlockLen]byte(answer.Reveal()))
		if verdict != yubiotp.OK || n > 0 && !seen.Before(token) {
			r.Errorf("answer %d: %v, %v after %v", n, verdict, token, seen)
		}
		seen = token
	}
}

func testWrongChallenge(r *rig) {
	s := r.open()
	r.program(s, ykslot.Slot2, none())
	_, err := s.ChallengeHMAC(r.ctx, ykslot.Slot2, []byte("x"), ykslot.PadYubikit, nil)
	if r.onCard(err) {
		return
	}
	if refusal := (*ykslot.RejectedError)(nil); !errors.As(err, &refusal) {
		r.Errorf("got %v, want a refusal", err)
	}
}

// testScanMap: a map with the letters' cases exchanged shows in what is typed, until the default is restored.
func testScanMap(r *rig) {
	s := r.open()
	c, err := ykslot.EncryptedPassword{Key: r.random(yubiotp.KeyLen), Flags: ykslot.TypingFlags(s.Status().Version)}.Config()
	c = r.write(s, ykslot.Slot1, c, err)
	m := ykslot.DefaultScanMap()
	const letters = 16
	for i := range letters {
		m[i], m[letters+i] = m[letters+i], m[i]
	}
	err = s.WriteScanMap(r.ctx, m, none())
	r.unsupported(err)
	r.must(err)
	r.Cleanup(func() {
		if err := s.WriteScanMap(r.ctx, ykslot.ScanMap{}, none()); err != nil && !r.Failed() {
			r.Error(err)
		}
	})
	want, _ := c.Press(0)
	defer want.Destroy()
	if got := r.whole(ykslot.Slot1, want.Len()); got != strings.ToUpper(string(want.Reveal())) {
		r.Error("the map does not show")
	}
	r.must(s.WriteScanMap(r.ctx, ykslot.ScanMap{}, none()))
	r.predicted(ykslot.Slot1, c)
}

// testNDEF: a slot that types takes one; a slot with an access code refuses, with the right code too.
func testNDEF(r *rig) {
	s := r.open()
	c := r.program(s, ykslot.Slot1, none())
	uri, err := ykslot.NDEFURI(ykslot.DefaultNDEF)
	r.must(err)
	err = s.WriteNDEF(r.ctx, ykslot.Slot1, uri, none())
	r.unsupported(err)
	if refusal := (*ykslot.RejectedError)(nil); errors.As(err, &refusal) {
		if info, err := s.DeviceInfo(r.ctx); err == nil && info.NFCSupported == 0 {
			r.Skip("this key has no radio")
		}
	}
	r.must(err)
	code := codeA()
	r.must(s.Write(r.ctx, ykslot.Slot1, r.config(s, c, code), none()))
	refusal := (*ykslot.RejectedError)(nil)
	if err := s.WriteNDEF(r.ctx, ykslot.Slot1, uri, code); !errors.As(err, &refusal) {
		r.Errorf("with an access code: got %v, want a refusal", err)
	}
	r.proves(ykslot.Slot1, c)
}

// testDormant: a dormant slot keeps key and counters, and an update wakes it.
func testDormant(r *rig) {
	s := r.open()
	c := r.program(s, ykslot.Slot1, none())
	first := r.proves(ykslot.Slot1, c)
	flags := ykslot.TypingFlags(s.Status().Version)
	flags.Ext |= ykslot.Dormant
	err := s.Update(r.ctx, ykslot.Slot1, flags, none(), none())
	r.unsupported(err)
	r.must(err)
	flags.Ext &^= ykslot.Dormant
	r.must(s.Update(r.ctx, ykslot.Slot1, flags, none(), none()))
	if second := r.proves(ykslot.Slot1, c); !first.Before(second) {
		r.Errorf("before %v, after %v", first, second)
	}
}

// testProtect: with PROTECT_CFG2 in slot 1, slot 2 can be neither written nor deleted, until slot 1 is written without.
func testProtect(r *rig) {
	s := r.open()
	two := r.program(s, ykslot.Slot2, none())
	cfg := r.config(s, r.draw(), none())
	cfg.Ticket |= ykslot.ProtectCfg2
	r.must(s.Write(r.ctx, ykslot.Slot1, cfg, none()))
	refusal := (*ykslot.RejectedError)(nil)
	if err := s.Write(r.ctx, ykslot.Slot2, r.config(s, r.draw(), none()), none()); !errors.As(err, &refusal) {
		r.Errorf("write of slot 2: got %v, want a refusal", err)
	}
	if err := s.Delete(r.ctx, ykslot.Slot2, none()); !errors.As(err, &refusal) {
		r.Errorf("delete of slot 2: got %v, want a refusal", err)
	}
	r.proves(ykslot.Slot2, two)
	r.program(s, ykslot.Slot1, none())
	r.must(s.Delete(r.ctx, ykslot.Slot2, none()))
}

// testDeviceConfig changes how long a challenge waits, and back.
func testDeviceConfig(r *rig) {
	s := r.open()
	before, err := s.DeviceInfo(r.ctx)
	r.unsupported(err)
	r.must(err)
	if before.Locked {
		r.Skip("the key's settings are locked")
	}
	for _, wait := range []time.Duration{20 * time.Second, before.ChallengeTimeout} {
		err := s.WriteDeviceConfig(r.ctx, ykslot.DeviceConfig{ChallengeTimeout: &wait})
		r.unsupported(err)
		r.must(err)
		now, err := s.DeviceInfo(r.ctx)
		r.must(err)
		if now.ChallengeTimeout != wait {
			r.Errorf("timeout %v, want %v", now.ChallengeTimeout, wait)
		}
	}
}
