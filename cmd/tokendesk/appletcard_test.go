package main

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// pivBus of virtual keys: their PIV application in this process, as far as an attestation needs it. Over a real PC/SC service
// package pivhw does it, which TestAttestByCard has.
var (
	_ pivBus = pivVirtual{}
	_ pivBus = pivScript{}
)

// pivVirtual is the rig's bus.
type pivVirtual struct{ virtualBus }

func (b pivVirtual) openPIV(ctx context.Context, at usbhid.Attached) (piv.Card, error) {
	return openApplet(ctx, b.virtualBus, at)
}

// pivScript is the scripts' bus.
type pivScript struct{ scriptBus }

func (b pivScript) openPIV(ctx context.Context, at usbhid.Attached) (piv.Card, error) {
	return openApplet(ctx, b.scriptBus, at)
}

// appletCard is a PIV application by commands of its own. What it does not have panics.
type appletCard struct {
	piv.Card
	held heldCard
	ch   apdu.Channel
}

func openApplet(ctx context.Context, b cardBus, at usbhid.Attached) (piv.Card, error) {
	held, err := b.openCard(ctx, at)
	if err != nil {
		return nil, err
	}
	c := &appletCard{held: held, ch: apdu.Channel{Card: held}}
	if _, err := c.ch.Select(ctx, []byte("\xA0\x00\x00\x03\x08")); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", piv.ErrNoApplet, err), held.Close())
	}
	return c, nil
}

func (c *appletCard) Close() error { return c.held.Close() }

func (c *appletCard) send(ctx context.Context, ins, p1, p2 byte, data ...byte) ([]byte, error) {
	return c.ch.Send(ctx, apdu.Command{Instruction: ins, P1: p1, P2: p2, Data: data, Expect: apdu.Any})
}

// Facts implements piv.Reader.
func (c *appletCard) Facts(ctx context.Context) (f piv.Facts, err error) {
	v, err := c.send(ctx, 0xFD, 0, 0)
	if err != nil {
		return f, err
	}
	f.Version = ykslot.Version{Major: v[0], Minor: v[1], Patch: v[2]}
	if serial, err := c.send(ctx, 0xF8, 0, 0); err == nil {
		f.Serial = token.Serial(binary.BigEndian.Uint32(serial))
	}
	object, err := c.send(ctx, 0xCB, 0x3F, 0xFF, 0x5C, 3, 0x5F, 0xFF, 0x01)
	if err == nil {
		der, _ := apdu.Find(object, 0x53, 0x70)
		if f.Maker, err = x509.ParseCertificate(der); err != nil {
			f.Maker = nil
		}
	}
	for _, slot := range piv.Slots() {
		if k, ok := c.key(ctx, f, slot); ok {
			f.Keys = append(f.Keys, k)
		}
	}
	return f, nil
}

func (c *appletCard) key(ctx context.Context, f piv.Facts, slot piv.Slot) (piv.KeyFacts, bool) {
	k := piv.KeyFacts{Slot: slot, Key: piv.Yes, Algorithm: piv.P256, PIN: piv.PINNever, Touch: piv.TouchNever, Generated: piv.Yes}
	if !f.Metadata() {
		_, err := c.send(ctx, 0xF9, byte(slot), 0)
		return k, err == nil
	}
	told, err := c.send(ctx, 0xF7, 0, byte(slot))
	if err != nil {
		return k, false
	}
	origin, _ := apdu.Find(told, 3)
	policy, _ := apdu.Find(told, 2)
	k.Touch = piv.TouchPolicy(policy[1])
	if k.PIN = piv.PINPolicy(policy[0]); origin[0] != 1 {
		k.Generated = piv.No
	}
	return k, true
}

func (c *appletCard) Attest(ctx context.Context, s piv.Slot) (*x509.Certificate, error) {
	der, err := c.send(ctx, 0xF9, byte(s), 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", piv.ErrNoKey, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", piv.ErrNotGenuine, err)
	}
	return cert, nil
}

// Authenticate proves the management key by one block. Source: NIST SP 800-73-4 part 2 §3.2.4 (external authentication).
func (c *appletCard) Authenticate(ctx context.Context, management secret.Bytes) error {
	f, err := c.Facts(ctx)
	if err != nil {
		return err
	}
	algorithm, block := byte(piv.TripleDES), cipher.Block(nil)
	if block, err = des.NewTripleDESCipher(management.Reveal()); f.Version.AtLeast(5, 7, 0) {
		algorithm = byte(piv.AES192)
		block, err = aes.NewCipher(management.Reveal())
	}
	if err != nil {
		return err
	}
	answer, err := c.send(ctx, 0x87, algorithm, 0x9B, 0x7C, 2, 0x81, 0)
	if err != nil {
		return err
	}
	challenge, _ := apdu.Find(answer, 0x7C, 0x81)
	response := make([]byte, block.BlockSize())
	block.Encrypt(response, challenge)
	if _, err := c.send(ctx, 0x87, algorithm, 0x9B, apdu.AppendTLV(nil, 0x7C, apdu.AppendTLV(nil, 0x82, response))...); err != nil {
		return fmt.Errorf("%w: %w", piv.ErrManagementKey, err)
	}
	return nil
}

func (c *appletCard) Generate(ctx context.Context, management secret.Bytes, s piv.Slot, k piv.KeySpec) (crypto.PublicKey, error) {
	if err := c.Authenticate(ctx, management); err != nil {
		return nil, err
	}
	answer, err := c.send(ctx, 0x47, 0, byte(s), 0xAC, 9, 0x80, 1, byte(k.Algorithm), 0xAA, 1, byte(k.PIN), 0xAB, 1, byte(k.Touch))
	if err != nil {
		return nil, err
	}
	point, _ := apdu.Find(answer, 0x7F49, 0x86)
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}

func (c *appletCard) DeleteKey(ctx context.Context, management secret.Bytes, s piv.Slot) error {
	if err := c.Authenticate(ctx, management); err != nil {
		return err
	}
	_, err := c.send(ctx, 0xF6, 0xFF, byte(s))
	return err
}

// Signer is a P-256 key that wants no PIN.
func (c *appletCard) Signer(ctx context.Context, s piv.Slot, public crypto.PublicKey) (crypto.Signer, error) {
	return appletSigner{ctx, c, s, public}, nil
}

type appletSigner struct {
	ctx    context.Context
	c      *appletCard
	slot   piv.Slot
	public crypto.PublicKey
}

func (k appletSigner) Public() crypto.PublicKey { return k.public }

func (k appletSigner) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	asked := apdu.AppendTLV(nil, 0x7C, apdu.AppendTLV(apdu.AppendTLV(nil, 0x82, nil), 0x81, digest))
	answer, err := k.c.send(k.ctx, 0x87, byte(piv.P256), byte(k.slot), asked...)
	signature, _ := apdu.Find(answer, 0x7C, 0x82)
	return signature, err
}
