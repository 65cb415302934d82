package ykslot_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func hmacSHA1(key, message []byte) []byte {
	m := hmac.New(sha1.New, key)
	m.Write(message)
	return m.Sum(nil)
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// program writes what a builder makes.
func (r *rig) program(t *testing.T, slot ykslot.Slot, b builder) ykslot.Config {
	t.Helper()
	c, err := b.Config()
	if err != nil {
		t.Fatal(err)
	}
	want(t, "write", r.Write(t.Context(), slot, c, none), false, 0)
	return c
}

func (r *rig) hmac(t *testing.T, slot ykslot.Slot, challenge []byte, p ykslot.Padding) []byte {
	t.Helper()
	got, err := r.ChallengeHMAC(t.Context(), slot, challenge, p, nil)
	if err != nil {
		t.Fatalf("challenge of %d bytes: %v", len(challenge), err)
	}
	return got.Reveal()
}

// TestHMACVectors are those of reference yubikey-otp.md §3.9 and §3.10, TOTP included.
func TestHMACVectors(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey24, vkey.Options{})
	const seed = "303132333435363738393a3b3c3d3e3f40414243"
	for _, v := range []struct{ key, challenge, want string }{
		{"b3cd9bc5afa573fc2ea2b7baa995af99fef9b2b4", "1122334455667788", "884701c5995a388f2832246fdee22196943825bf"}, // a real key
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", hex.EncodeToString([]byte("Hi There")), "b617318655057264e28bc0b6fb378c8ef146be00"},
		{seed, hex.EncodeToString([]byte("Sample #2")), "0922d3405faa3d194f82a45830737d5cc6c75d24"},
		{seed, hex.EncodeToString([]byte("Sample")), "a6bd3958538643d25effa2c6716b6cfdc5d0196a"},
		{"abba", "abba", "f8de2586056d89d8b961a072d1245a495d2155e1"},
	} {
		r.program(t, ykslot.Slot2, ykslot.ChallengeHMAC{Key: secret.New(fromHex(t, v.key)), Flags: ykslot.ChallengeFlags(r.Status().Version)})
		if got := hex.EncodeToString(r.hmac(t, ykslot.Slot2, fromHex(t, v.challenge), ykslot.PadYubikit)); got != v.want {
			t.Errorf("%s: %s, want %s", v.challenge, got, v.want)
		}
	}
	step := ykslot.TOTPChallenge(time.Unix(999, 0), 30*time.Second)
	answer := secret.New(r.hmac(t, ykslot.Slot2, step[:], ykslot.PadYubikit))
	if six, eight := ykslot.TOTPCode(answer, 6), ykslot.TOTPCode(answer, 8); six != "533486" || eight != "04533486" {
		t.Errorf("TOTP %s and %s", six, eight)
	}
}

// TestPaddings: on a slot for variable length, with the vendor's padding each challenge of 1 to 63 bytes is answered with its own
// HMAC. ykpers' loses trailing zeros: of these alone the answers differ.
func TestPaddings(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	key := bytesOf(20, 0x5a)
	r := openRig(t, vkey.YubiKey571, vkey.Options{})
	r.program(t, ykslot.Slot1, ykslot.ChallengeHMAC{Key: key})
	challenges := map[string][]byte{}
	for n := 1; n <= 63; n++ {
		for zeros := range min(n+1, 4) {
			c := bytes.Repeat([]byte{byte(n)}, n)
			clear(c[n-zeros:])
			challenges[fmt.Sprintf("%d bytes, %d zeros", n, zeros)] = c
			ones := bytes.Repeat([]byte{1}, n) // the other padding byte
			challenges[fmt.Sprintf("%d ones", n)] = ones
		}
	}
	for i := range 500 {
		c := make([]byte, 1+random.IntN(63))
		for j := range c {
			c[j] = byte(random.IntN(4)) * byte(random.IntN(256)) // many zeros
		}
		challenges[fmt.Sprintf("random %d", i)] = c
	}
	differ := 0
	for name, c := range challenges {
		own := hmacSHA1(key.Reveal(), c)
		if got := r.hmac(t, ykslot.Slot1, c, ykslot.PadYubikit); !bytes.Equal(got, own) {
			t.Errorf("%s, yubikit: not the challenge's own HMAC", name)
		}
		cut := bytes.TrimRight(c, "\x00")
		if len(cut) == 0 {
			cut = []byte{0} // what is left of 64 zeros: python-yubico's word, reference yubikey-otp.md §3.9
		}
		if got := r.hmac(t, ykslot.Slot1, c, ykslot.PadYkpers); !bytes.Equal(got, hmacSHA1(key.Reveal(), cut)) {
			t.Errorf("%s, ykpers: not the HMAC of what is left", name)
		}
		if !bytes.Equal(own, hmacSHA1(key.Reveal(), cut)) {
			differ++
		}
		for _, p := range []ykslot.Padding{ykslot.PadYubikit, ykslot.PadYkpers} {
			padded, err := p.Pad(c)
			if err != nil || !bytes.Equal(hmacSHA1(key.Reveal(), ykslot.Message(padded, false)), r.hmac(t, ykslot.Slot1, c, p)) {
				t.Errorf("%s, %v: Message is not what the key computes, %v", name, p, err)
			}
		}
	}
	if differ == 0 {
		t.Error("the paddings never differ")
	}
	full := bytes.Repeat([]byte{1, 2}, 32)
	if got := r.hmac(t, ykslot.Slot1, full, ykslot.PadYubikit); !bytes.Equal(got, hmacSHA1(key.Reveal(), full[:63])) {
		t.Error("64 bytes lose their last")
	}
	r.program(t, ykslot.Slot1, ykslot.ChallengeHMAC{Key: key, FixedLength: true})
	for _, c := range [][]byte{full, full[:3], {0}} {
		padded, _ := ykslot.PadYubikit.Pad(c)
		if got := r.hmac(t, ykslot.Slot1, c, ykslot.PadYubikit); !bytes.Equal(got, hmacSHA1(key.Reveal(), padded[:])) || !bytes.Equal(ykslot.Message(padded, true), padded[:]) {
			t.Errorf("fixed length, %d bytes: not the HMAC of 64", len(c))
		}
	}
	for _, c := range [][]byte{nil, make([]byte, 65)} {
		var invalid *ykslot.InvalidError
		if _, err := r.ChallengeHMAC(t.Context(), ykslot.Slot1, c, ykslot.PadYubikit, nil); !errors.As(err, &invalid) {
			t.Errorf("%d bytes: %v", len(c), err)
		}
	}
}

func TestParsePadding(t *testing.T) {
	t.Parallel()
	for _, p := range []ykslot.Padding{ykslot.PadYubikit, ykslot.PadYkpers} {
		if got, ok := ykslot.ParsePadding(p.String()); !ok || got != p {
			t.Errorf("%v", p)
		}
	}
	if _, ok := ykslot.ParsePadding("zero"); ok {
		t.Error("zero")
	}
}

// TestYubicoChallenge: the answer is a Yubico OTP block whose private ID is the challenge.
func TestYubicoChallenge(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	key := bytesOf(16, 3)
	r.program(t, ykslot.Slot2, ykslot.ChallengeYubico{Key: key})
	challenge := [6]byte{1, 2, 3, 4, 5, 6}
	cipher, err := yubiotp.NewCipher(key, secret.New(challenge[:]))
	if err != nil {
		t.Fatal(err)
	}
	var last yubiotp.Token
	for range 3 {
		got, err := r.ChallengeYubico(t.Context(), ykslot.Slot2, challenge, nil)
		if err != nil || got.Len() != 16 {
			t.Fatal(err)
		}
		token, verdict := cipher.Open([16]byte(got.Reveal()))
		if verdict != yubiotp.OK || !last.Before(token) {
			t.Errorf("%v after %v: %v", token, last, verdict)
		}
		last = token
	}
	_, err = r.ChallengeHMAC(t.Context(), ykslot.Slot2, challenge[:], 0, nil)
	want(t, "HMAC of a Yubico slot", err, true, ykslot.CauseNotChallenge)
	_, err = r.ChallengeYubico(t.Context(), ykslot.Slot1, challenge, nil)
	want(t, "empty slot", err, true, ykslot.CauseNotChallenge)
	if n, err := r.ReadStatus(t.Context()); err != nil || n.ProgSeq != 1 {
		t.Errorf("after refusals: %+v, %v", n, err)
	}
}

// TestTouchForChallenge: the wait is reported, ends with a touch, with a time-out, with an error of the caller, or does not begin.
func TestTouchForChallenge(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	key := bytesOf(20, 3)
	r.program(t, ykslot.Slot1, ykslot.ChallengeHMAC{Key: key, Touch: true})
	message := []byte("Sample")
	ask := func(touch ykslot.TouchFunc) (secret.Bytes, error) {
		return r.ChallengeHMAC(t.Context(), ykslot.Slot1, message, ykslot.PadYubikit, touch)
	}
	atRest := func(what string) {
		t.Helper()
		if n, err := r.ReadStatus(t.Context()); err != nil || !n.Configured(ykslot.Slot1) {
			t.Errorf("%s: %+v, %v", what, n, err)
		}
	}

	var seen []time.Duration
	got, err := ask(func(left time.Duration) error {
		if seen = append(seen, left); left <= 12*time.Second {
			r.key.Touch(1)
		}
		return nil
	})
	if err != nil || !bytes.Equal(got.Reveal(), hmacSHA1(key.Reveal(), message)) {
		t.Errorf("touched: %v", err)
	}
	if len(seen) < 4 || seen[0] != 15*time.Second || seen[len(seen)-1] > 12*time.Second {
		t.Errorf("progress %v", seen)
	}
	atRest("touched")

	if _, err := ask(nil); !errors.Is(err, ykslot.ErrTouchNeeded) {
		t.Errorf("no wait: %v", err)
	}
	atRest("no wait")

	start := r.now
	if _, err := ask(func(time.Duration) error { return nil }); !errors.Is(err, ykslot.ErrTouchTimeout) {
		t.Errorf("nobody: %v", err)
	}
	if took := r.now.Sub(start); took < 14*time.Second || took > 17*time.Second {
		t.Errorf("nobody: %v", took)
	}
	atRest("nobody")

	enough := errors.New("enough")
	if _, err := ask(func(time.Duration) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("given up: %v", err)
	}
	atRest("given up")
	if got, err := ask(func(time.Duration) error { r.key.Touch(1); return nil }); err != nil || got.Len() != 20 {
		t.Errorf("afterwards: %v", err)
	}
}
