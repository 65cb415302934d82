package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// LockCodes is where lock codes of keys are kept.
type LockCodes interface {
	KeepLockCode(ctx context.Context, serial token.Serial, code secret.Bytes) (token.LockCodeID, error)
	LockCodes(ctx context.Context, serial token.Serial) ([]token.LockCode, error)
	SettleLockCode(ctx context.Context, serial token.Serial, held token.LockCodeID) error
}

// RunLockCodes runs the suite of lock codes; open gives an empty store each time.
func RunLockCodes(t *testing.T, open func(t *testing.T) LockCodes) {
	t.Run("kept and settled", func(t *testing.T) { t.Parallel(); testLockCodes(t, open(t)) })
	t.Run("refusals", func(t *testing.T) { t.Parallel(); testLockCodeRefusals(t, open(t)) })
}

func lockCodeOf(b byte) secret.Bytes { return secret.New(bytes.Repeat([]byte{b}, 16)) }

// wantLockCodes compares what is kept: each code's byte, capital for one that the key holds.
func wantLockCodes(t *testing.T, s LockCodes, serial token.Serial, want string) {
	t.Helper()
	list, err := s.LockCodes(t.Context(), serial)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, c := range list {
		b := c.Code.Reveal()[0]
		if c.Held {
			b -= 'a' - 'A'
		}
		got = append(got, b)
		c.Code.Destroy()
	}
	if string(got) != want {
		t.Errorf("codes of %d: %q, want %q", serial, got, want)
	}
}

// keep keeps a code made of one letter.
func keepLockCode(t *testing.T, s LockCodes, serial token.Serial, b byte) token.LockCodeID {
	t.Helper()
	id, err := s.KeepLockCode(t.Context(), serial, lockCodeOf(b))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testLockCodes(t *testing.T, s LockCodes) {
	ctx := t.Context()
	wantLockCodes(t, s, 7, "")
	a := keepLockCode(t, s, 7, 'a')
	wantLockCodes(t, s, 7, "a")
	for range 2 { // settling again changes nothing
		if err := s.SettleLockCode(ctx, 7, a); err != nil {
			t.Fatal(err)
		}
		wantLockCodes(t, s, 7, "A")
	}
	keepLockCode(t, s, 7, 'b')
	c := keepLockCode(t, s, 7, 'c')
	keepLockCode(t, s, 8, 'd')
	wantLockCodes(t, s, 7, "Acb")
	if err := s.SettleLockCode(ctx, 7, c); err != nil {
		t.Fatal(err)
	}
	wantLockCodes(t, s, 7, "C")
	wantLockCodes(t, s, 8, "d")
	if err := s.SettleLockCode(ctx, 7, 0); err != nil {
		t.Fatal(err)
	}
	wantLockCodes(t, s, 7, "")
	wantLockCodes(t, s, 8, "d")
}

func testLockCodeRefusals(t *testing.T, s LockCodes) {
	ctx := t.Context()
	for name, code := range map[string]secret.Bytes{"none": {}, "short": secret.New([]byte("short")), "zeros": secret.New(make([]byte, 16))} {
		if _, err := s.KeepLockCode(ctx, 7, code); err == nil {
			t.Errorf("%s was kept", name)
		}
	}
	if _, err := s.KeepLockCode(ctx, 0, lockCodeOf('a')); err == nil {
		t.Error("kept for no serial number")
	}
	a := keepLockCode(t, s, 7, 'a')
	keepLockCode(t, s, 8, 'b')
	if err := s.SettleLockCode(ctx, 8, a); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("settled with the code of another key: %v", err)
	}
	wantLockCodes(t, s, 7, "a")
	wantLockCodes(t, s, 8, "b")
}
