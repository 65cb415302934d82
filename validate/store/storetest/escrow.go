package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Escrow is where secrets are kept that guard applications of keys.
type Escrow interface {
	KeepEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, s secret.Bytes) (token.EscrowID, error)
	Escrows(ctx context.Context, serial token.Serial, what token.EscrowKind) ([]token.Escrow, error)
	HandOutEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, reason string) ([]token.Escrow, error)
	Audit(ctx context.Context, f func(events iter.Seq2[audit.Event, error], heads []audit.Head) error) error
	Escrowed(ctx context.Context, serial token.Serial) ([]token.EscrowKind, error)
	SettleEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, held token.EscrowID) error
	ForgetEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, id token.EscrowID) error
}

// RunEscrow runs the suite of escrowed secrets; open gives an empty store each time.
func RunEscrow(t *testing.T, open func(t *testing.T) Escrow) {
	t.Run("kept and settled", func(t *testing.T) { t.Parallel(); testEscrow(t, open(t)) })
	t.Run("forgotten", func(t *testing.T) { t.Parallel(); testEscrowForgotten(t, open(t)) })
	t.Run("kinds apart", func(t *testing.T) { t.Parallel(); testEscrowKinds(t, open(t)) })
	t.Run("handed out", func(t *testing.T) { t.Parallel(); testEscrowHandedOut(t, open(t)) })
	t.Run("refusals", func(t *testing.T) { t.Parallel(); testEscrowRefusals(t, open(t)) })
}

// escrowLen is a length that each kind may have.
func escrowLen(what token.EscrowKind) int {
	switch what {
	case token.PIVPIN, token.PIVPUK:
		return 8
	}
	return 16
}

// wantEscrow compares what is kept of a kind: each secret's byte, capital for one that the key holds.
func wantEscrow(t *testing.T, s Escrow, serial token.Serial, what token.EscrowKind, want string) {
	t.Helper()
	list, err := s.Escrows(t.Context(), serial, what)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, e := range list {
		b := e.Secret.Reveal()[0]
		if e.Held {
			b -= 'a' - 'A'
		}
		got = append(got, b)
		if e.What != what || e.Secret.Len() != escrowLen(what) || e.Created.IsZero() {
			t.Errorf("%+v", e)
		}
		e.Secret.Destroy()
	}
	if string(got) != want {
		t.Errorf("%s of %d: %q, want %q", what, serial, got, want)
	}
}

// keepEscrow keeps a secret made of one letter.
func keepEscrow(t *testing.T, s Escrow, serial token.Serial, what token.EscrowKind, b byte) token.EscrowID {
	t.Helper()
	id, err := s.KeepEscrow(t.Context(), serial, what, secret.New(bytes.Repeat([]byte{b}, escrowLen(what))))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func testEscrow(t *testing.T, s Escrow) {
	ctx, what := t.Context(), token.LockCode
	wantEscrow(t, s, 7, what, "")
	a := keepEscrow(t, s, 7, what, 'a')
	wantEscrow(t, s, 7, what, "a")
	for range 2 { // settling again changes nothing
		if err := s.SettleEscrow(ctx, 7, what, a); err != nil {
			t.Fatal(err)
		}
		wantEscrow(t, s, 7, what, "A")
	}
	keepEscrow(t, s, 7, what, 'b')
	c := keepEscrow(t, s, 7, what, 'c')
	keepEscrow(t, s, 8, what, 'd')
	wantEscrow(t, s, 7, what, "Acb")
	if err := s.SettleEscrow(ctx, 7, what, c); err != nil {
		t.Fatal(err)
	}
	wantEscrow(t, s, 7, what, "C")
	wantEscrow(t, s, 8, what, "d")
	if err := s.SettleEscrow(ctx, 7, what, 0); err != nil {
		t.Fatal(err)
	}
	wantEscrow(t, s, 7, what, "")
	wantEscrow(t, s, 8, what, "d")
}

// testEscrowForgotten: one secret is forgotten, once, and none of another key or kind.
func testEscrowForgotten(t *testing.T, s Escrow) {
	a, what := keepEscrow(t, s, 7, token.PIVPIN, 'a'), token.PIVPIN
	if err := s.SettleEscrow(t.Context(), 7, what, a); err != nil {
		t.Fatal(err)
	}
	b := keepEscrow(t, s, 7, what, 'b')
	keepEscrow(t, s, 7, what, 'c')
	for _, test := range []struct {
		serial token.Serial
		what   token.EscrowKind
		id     token.EscrowID
		left   string
	}{{8, what, b, "Acb"}, {7, token.PIVPUK, b, "Acb"}, {7, what, b, "Ac"}, {7, what, b, "Ac"}, {7, what, a, "c"}} {
		if err := s.ForgetEscrow(t.Context(), test.serial, test.what, test.id); err != nil {
			t.Error(err)
		}
		wantEscrow(t, s, 7, what, test.left)
	}
	forgotten := 0
	for _, e := range escrowEvents(t, s) {
		if strings.Contains(e, "escrow.forget") {
			forgotten++
		}
	}
	if forgotten != 2 {
		t.Errorf("%d events", forgotten)
	}
}

// testEscrowKinds keeps one secret of each kind for one key: settling one leaves the others.
func testEscrowKinds(t *testing.T, s Escrow) {
	ctx := t.Context()
	ids := map[token.EscrowKind]token.EscrowID{}
	for _, k := range token.EscrowKinds() {
		keepEscrow(t, s, 7, k, 'a')
		ids[k] = keepEscrow(t, s, 7, k, 'b')
	}
	if got, err := s.Escrowed(ctx, 7); err != nil || len(got) != len(ids) {
		t.Errorf("%v, %v", got, err)
	}
	if err := s.SettleEscrow(ctx, 7, token.PIVPIN, ids[token.PIVPUK]); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("a PIN settled with a PUK: %v", err)
	}
	if err := s.SettleEscrow(ctx, 7, token.PIVPIN, ids[token.PIVPIN]); err != nil {
		t.Fatal(err)
	}
	if err := s.SettleEscrow(ctx, 7, token.PIVPUK, 0); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[token.EscrowKind]string{
		token.LockCode: "ba", token.OATHPassword: "ba", token.PIVPIN: "B", token.PIVPUK: "", token.PIVManagementKey: "ba",
	} {
		wantEscrow(t, s, 7, k, want)
	}
	if got, err := s.Escrowed(ctx, 7); err != nil || len(got) != len(ids)-1 || slices.Contains(got, token.PIVPUK) {
		t.Errorf("%v, %v", got, err)
	}
}

// escrowEvents are the details of the events of escrow, without secrets, as action and detail.
func escrowEvents(t *testing.T, s Escrow) (out []string) {
	t.Helper()
	err := s.Audit(t.Context(), func(events iter.Seq2[audit.Event, error], _ []audit.Head) error {
		for e, err := range events {
			if err != nil {
				return err
			}
			if strings.HasPrefix(e.Action, "escrow.") {
				out = append(out, e.Object+" "+e.Action+" "+e.Detail)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// testEscrowHandedOut: every change and every look by people is in the audit chain, and what a program reads for itself is not.
func testEscrowHandedOut(t *testing.T, s Escrow) {
	ctx := t.Context()
	if list, err := s.HandOutEscrow(ctx, 7, token.PIVPUK, "asked for"); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	id := keepEscrow(t, s, 7, token.PIVPUK, 'a')
	for range 2 {
		if err := s.SettleEscrow(ctx, 7, token.PIVPUK, id); err != nil {
			t.Fatal(err)
		}
	}
	wantEscrow(t, s, 7, token.PIVPUK, "A")
	list, err := s.HandOutEscrow(ctx, 7, token.PIVPUK, "locked out")
	if err != nil || len(list) != 1 || string(list[0].Secret.Reveal()) != "aaaaaaaa" {
		t.Errorf("%v, %v", list, err)
	}
	want := []string{
		fmt.Sprintf(`serial 7 escrow.keep {"what":"piv-puk","escrow":%d}`, id), fmt.Sprintf(`serial 7 escrow.settle {"what":"piv-puk","escrow":%d}`, id),
		fmt.Sprintf(`serial 7 escrow.show {"what":"piv-puk","escrow":[%d],"reason":"locked out"}`, id),
	}
	if got := escrowEvents(t, s); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func testEscrowRefusals(t *testing.T, s Escrow) {
	ctx := t.Context()
	for name, test := range map[string]struct {
		what   token.EscrowKind
		secret secret.Bytes
	}{
		"none":                   {token.LockCode, secret.Bytes{}},
		"short":                  {token.LockCode, secret.New([]byte("short"))},
		"zeros":                  {token.LockCode, secret.New(make([]byte, 16))},
		"a PIN of 5":             {token.PIVPIN, secret.New([]byte("12345"))},
		"a PIN of 9":             {token.PIVPIN, secret.New([]byte("123456789"))},
		"a management key of 20": {token.PIVManagementKey, secret.New([]byte("12345678901234567890"))},
		"no password":            {token.OATHPassword, secret.Bytes{}},
		"an unknown kind":        {"aes-key", secret.New([]byte("1234567890123456"))},
	} {
		if _, err := s.KeepEscrow(ctx, 7, test.what, test.secret); err == nil {
			t.Errorf("%s was kept", name)
		}
	}
	if _, err := s.KeepEscrow(ctx, 0, token.LockCode, secret.New([]byte("1234567890123456"))); err == nil {
		t.Error("kept for no serial number")
	}
	a := keepEscrow(t, s, 7, token.LockCode, 'a')
	keepEscrow(t, s, 8, token.LockCode, 'b')
	if err := s.SettleEscrow(ctx, 8, token.LockCode, a); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("settled with the secret of another key: %v", err)
	}
	wantEscrow(t, s, 7, token.LockCode, "a")
	wantEscrow(t, s, 8, token.LockCode, "b")
}
