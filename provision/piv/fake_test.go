package piv

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

var (
	_ Card   = (*fakeCard)(nil)
	_ Escrow = (*fakeStore)(nil)
)

// errKilled is what everything fails with after the process was killed.
var errKilled = errors.New("killed")

// killer ends a process between two changes, of card and store alike: at the n-th one, before or after it has its effect.
type killer struct {
	at    int // counted from 1; 0: never
	after bool
	done  int
	dead  bool
}

// change runs one change.
func (k *killer) change(f func() error) error {
	if k.dead {
		return errKilled
	}
	k.done++
	if k.done == k.at {
		k.dead = true
		if k.after {
			_ = f()
		}
		return errKilled
	}
	return f()
}

type fakeRef struct {
	value       string
	left, total int
	wrong       int // tries that were burned
}

func (r *fakeRef) try(what token.EscrowKind, s secret.Bytes) error {
	if r.left == 0 {
		return &PINError{What: what}
	}
	if string(s.Reveal()) != r.value {
		r.left--
		r.wrong++
		return &PINError{What: what, Left: r.left}
	}
	r.left = r.total
	return nil
}

type fakeKey struct {
	private crypto.Signer
	spec    KeySpec
}

// fakeCard is a PIV application in memory.
type fakeCard struct {
	kill       *killer
	version    ykslot.Version
	serial     token.Serial
	pin, puk   fakeRef
	management string
	touch      bool // the management key wants one
	verified   bool
	keys       map[Slot]fakeKey
	objects    map[Object][]byte
	certs      map[Slot]*x509.Certificate
	attest     func(Slot, crypto.PublicKey) *x509.Certificate
	maker      *x509.Certificate
}

func newFake(v ykslot.Version) *fakeCard {
	c := &fakeCard{kill: &killer{}, version: v, serial: 7654321}
	c.factory()
	return c
}

func (c *fakeCard) factory() {
	c.pin, c.puk = fakeRef{value: defaultPIN, left: 3, total: 3, wrong: c.pin.wrong}, fakeRef{value: defaultPUK, left: 3, total: 3, wrong: c.puk.wrong}
	c.management, c.verified = defaultManagement, false
	c.keys, c.objects, c.certs = map[Slot]fakeKey{}, map[Object][]byte{}, map[Slot]*x509.Certificate{}
}

func (c *fakeCard) Facts(context.Context) (Facts, error) {
	if c.kill.dead {
		return Facts{}, errKilled
	}
	c.verified = false
	f := Facts{Serial: c.serial, Version: c.version, Maker: c.maker, CHUID: c.objects[CHUID] != nil, CCC: c.objects[CCC] != nil, OnCard: len(c.objects[AdminData]) > 0}
	f.PIN, f.PUK = Reference{Left: c.pin.left}, Reference{Left: -1}
	f.Management = Management{Algorithm: AES192, Default: is(c.management == defaultManagement), Touch: c.touch}
	if f.Metadata() {
		f.PIN = Reference{c.pin.left, c.pin.total, is(c.pin.value == defaultPIN)}
		f.PUK = Reference{c.puk.left, c.puk.total, is(c.puk.value == defaultPUK)}
	}
	for _, s := range Slots() {
		k, ok := c.keys[s]
		cert := c.certs[s]
		have := KeyFacts{Slot: s, Object: cert != nil, Certificate: cert}
		if ok && f.Metadata() {
			have.Key, have.Algorithm, have.PIN, have.Touch, have.Generated, have.Public = Yes, k.spec.Algorithm, k.spec.PIN, k.spec.Touch, Yes, k.private.Public()
		}
		if have.Key == Yes || have.Object {
			f.Keys = append(f.Keys, have)
		}
	}
	return f, nil
}

func is(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

func (c *fakeCard) PINTries(context.Context) (int, error) { return c.pin.left, nil }

func (c *fakeCard) Attest(_ context.Context, s Slot) (*x509.Certificate, error) {
	k, ok := c.keys[s]
	if !ok || c.attest == nil {
		return nil, ErrNoKey
	}
	return c.attest(s, k.private.Public()), nil
}

func (c *fakeCard) VerifyPIN(_ context.Context, pin secret.Bytes) error {
	if c.kill.dead {
		return errKilled
	}
	err := c.pin.try(token.PIVPIN, pin)
	c.verified = err == nil
	return err
}

func (c *fakeCard) ChangePIN(_ context.Context, old, fresh secret.Bytes) error {
	return c.kill.change(func() error { return c.set(&c.pin, token.PIVPIN, old, fresh) })
}

func (c *fakeCard) ChangePUK(_ context.Context, old, fresh secret.Bytes) error {
	return c.kill.change(func() error { return c.set(&c.puk, token.PIVPUK, old, fresh) })
}

func (c *fakeCard) set(r *fakeRef, what token.EscrowKind, old, fresh secret.Bytes) error {
	err := r.try(what, old)
	if err == nil {
		r.value = string(fresh.Reveal())
	}
	return err
}

func (c *fakeCard) Unblock(_ context.Context, puk, fresh secret.Bytes) error {
	return c.kill.change(func() error {
		err := c.puk.try(token.PIVPUK, puk)
		if err == nil {
			c.pin.value, c.pin.left = string(fresh.Reveal()), c.pin.total
		}
		return err
	})
}

func (c *fakeCard) Authenticate(_ context.Context, management secret.Bytes) error {
	if c.kill.dead {
		return errKilled
	}
	if string(management.Reveal()) != c.management {
		return ErrManagementKey
	}
	return nil
}

// admin runs a change that needs the management key.
func (c *fakeCard) admin(ctx context.Context, management secret.Bytes, f func() error) error {
	return c.kill.change(func() error {
		if string(management.Reveal()) != c.management {
			return ErrManagementKey
		}
		return f()
	})
}

func (c *fakeCard) SetManagementKey(ctx context.Context, old, fresh secret.Bytes) error {
	return c.admin(ctx, old, func() error { c.management = string(fresh.Reveal()); return nil })
}

func (c *fakeCard) SetRetries(ctx context.Context, management, pin secret.Bytes, pinTries, pukTries int) error {
	return c.admin(ctx, management, func() error {
		if err := c.pin.try(token.PIVPIN, pin); err != nil {
			return err
		}
		c.pin = fakeRef{value: defaultPIN, left: pinTries, total: pinTries, wrong: c.pin.wrong}
		c.puk = fakeRef{value: defaultPUK, left: pukTries, total: pukTries, wrong: c.puk.wrong}
		return nil
	})
}

func (c *fakeCard) Reset(context.Context) error {
	return c.kill.change(func() error { c.factory(); return nil })
}

func (c *fakeCard) Generate(ctx context.Context, management secret.Bytes, s Slot, k KeySpec) (public crypto.PublicKey, _ error) {
	return public, c.admin(ctx, management, func() error {
		var private crypto.Signer
		var err error
		if k.Algorithm == Ed25519 {
			_, private, err = ed25519.GenerateKey(rand.Reader)
		} else {
			private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}
		if err != nil {
			return err
		}
		c.keys[s], public = fakeKey{private, k}, private.Public()
		return nil
	})
}

func (c *fakeCard) DeleteKey(ctx context.Context, management secret.Bytes, s Slot) error {
	return c.admin(ctx, management, func() error { delete(c.keys, s); return nil })
}

func (c *fakeCard) SetCertificate(ctx context.Context, management secret.Bytes, s Slot, cert *x509.Certificate) error {
	return c.admin(ctx, management, func() error { c.certs[s] = cert; return nil })
}

func (c *fakeCard) PutObject(ctx context.Context, management secret.Bytes, o Object, value []byte) error {
	return c.admin(ctx, management, func() error { c.objects[o] = value; return nil })
}

func (c *fakeCard) Signer(_ context.Context, s Slot, _ crypto.PublicKey) (crypto.Signer, error) {
	k, ok := c.keys[s]
	if !ok {
		return nil, ErrNoKey
	}
	return k.private, nil
}

func (c *fakeCard) Exchanger(context.Context, Slot, crypto.PublicKey) (ecdh.KeyExchanger, error) {
	return nil, errors.ErrUnsupported
}

func (c *fakeCard) Close() error { return nil }

// fakeStore is an escrow in memory, for one card.
type fakeStore struct {
	kill *killer
	rows []token.Escrow
	next token.EscrowID
}

func (s *fakeStore) KeepEscrow(_ context.Context, serial token.Serial, what token.EscrowKind, v secret.Bytes) (id token.EscrowID, err error) {
	return id, s.kill.change(func() error {
		s.next++
		id = s.next
		s.rows = append(s.rows, token.Escrow{ID: id, What: what, Secret: v.Clone()})
		return what.Check(v)
	})
}

func (s *fakeStore) Escrows(_ context.Context, _ token.Serial, what token.EscrowKind) (list []token.Escrow, _ error) {
	for _, row := range s.rows {
		if row.What == what {
			row.Secret = row.Secret.Clone()
			list = append(list, row)
		}
	}
	slices.SortStableFunc(list, func(a, b token.Escrow) int {
		switch {
		case a.Held:
			return -1
		case b.Held:
			return 1
		}
		return int(b.ID - a.ID)
	})
	return list, nil
}

func (s *fakeStore) SettleEscrow(_ context.Context, _ token.Serial, what token.EscrowKind, held token.EscrowID) error {
	return s.kill.change(func() error {
		s.rows = slices.DeleteFunc(s.rows, func(e token.Escrow) bool { return e.What == what && e.ID != held })
		for i := range s.rows {
			if s.rows[i].What == what {
				s.rows[i].Held = true
			}
		}
		return nil
	})
}

func (s *fakeStore) ForgetEscrow(_ context.Context, _ token.Serial, what token.EscrowKind, id token.EscrowID) error {
	return s.kill.change(func() error {
		s.rows = slices.DeleteFunc(s.rows, func(e token.Escrow) bool { return e.What == what && e.ID == id })
		return nil
	})
}

// held is the secret that the card was seen to have.
func (s *fakeStore) held(what token.EscrowKind) string {
	for _, row := range s.rows {
		if row.What == what && row.Held {
			return string(row.Secret.Reveal())
		}
	}
	return ""
}

// has reports whether the store has a secret, held or on its way.
func (s *fakeStore) has(what token.EscrowKind, value string) bool {
	return slices.ContainsFunc(s.rows, func(e token.Escrow) bool { return e.What == what && string(e.Secret.Reveal()) == value })
}

func newRunner(c *fakeCard) (*Runner, *fakeStore) {
	s := &fakeStore{kill: c.kill}
	return &Runner{Escrow: s, Rand: rand.Reader, Now: func() time.Time { return time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC) }}, s
}

// setUp plans and carries out.
func setUp(t *testing.T, r *Runner, c Card, w Want) error {
	t.Helper()
	p, err := r.Plan(t.Context(), c, w)
	if err != nil {
		return err
	}
	defer p.Destroy()
	return r.Init(t.Context(), c, p)
}

func pinText(s string) secret.Bytes { return secret.Copy([]byte(s)) }
