package pivhw

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// Applications. Source: reference yubikey-otp.md §5.
const (
	aidPIV        = "\xA0\x00\x00\x03\x08"
	aidOTP        = "\xA0\x00\x00\x05\x27\x20\x01"
	aidManagement = "\xA0\x00\x00\x05\x27\x47\x11\x17"
)

// Instructions and references. Source: reference yubikey-otp.md §8; NIST SP 800-73-4 part 2.
const (
	insVerify       = 0x20
	insAuthenticate = 0x87
	insGetData      = 0xCB
	insPutData      = 0xDB
	insMoveKey      = 0xF6
	insMetadata     = 0xF7
	insSerial       = 0xF8
	insVersion      = 0xFD

	refPIN        = 0x80
	refPUK        = 0x81
	refManagement = 0x9B
	wholeObject   = 0xFF // P2 of GET DATA and PUT DATA, P1 is 3F
	dataObjects   = 0x3F
	toNowhere     = 0xFF // P1 of moving a key: it is deleted
)

// applet speaks with the PIV application by commands of its own.
type applet struct {
	ch      apdu.Channel
	rand    io.Reader
	version ykslot.Version
	proven  bool // a management key was: the card knows until another application is selected
}

// selectApplet opens the application, with no PIN verified. It wraps piv.ErrNoApplet.
func selectApplet(ctx context.Context, card apdu.Transmitter, rand io.Reader) (*applet, error) {
	a := &applet{ch: apdu.Channel{Card: card}, rand: rand}
	if err := a.enter(ctx); err != nil {
		return nil, err
	}
	v, err := a.send(ctx, apdu.Command{Instruction: insVersion, Expect: apdu.Any})
	if err != nil {
		return nil, fmt.Errorf("read the version: %w", err)
	}
	if len(v) != 3 {
		return nil, fmt.Errorf("%w: a version of %d bytes", piv.ErrProtocol, len(v))
	}
	a.version = ykslot.Version{Major: v[0], Minor: v[1], Patch: v[2]}
	return a, nil
}

func (a *applet) enter(ctx context.Context) error {
	var sw apdu.Status
	_, err := a.ch.Select(ctx, []byte(aidPIV))
	if errors.As(err, &sw) {
		return fmt.Errorf("%w (%w)", piv.ErrNoApplet, err)
	}
	return err
}

// leave selects another application, which forgets the PIN and the management key.
func (a *applet) leave(ctx context.Context) error {
	var sw apdu.Status
	for _, aid := range []string{aidOTP, aidManagement} { // a NEO does not leave the Management application by itself
		if _, err := a.ch.Select(ctx, []byte(aid)); err == nil || !errors.As(err, &sw) {
			return err
		}
	}
	return nil // it has none, and with that no other that could read a PIN
}

func (a *applet) send(ctx context.Context, c apdu.Command) ([]byte, error) { return a.ch.Send(ctx, c) }

// serial is 0 where the card does not tell it. Before firmware 5 the OTP application has it.
func (a *applet) serial(ctx context.Context) (token.Serial, error) {
	cmd := apdu.Command{Instruction: insSerial, Expect: apdu.Any}
	if !a.version.AtLeast(5, 0, 0) {
		const readSerial = 0x10 // P1 of the OTP application's command 01, reference yubikey-otp.md §5
		cmd = apdu.Command{Instruction: 0x01, P1: readSerial, Expect: apdu.Any}
		if _, err := a.ch.Select(ctx, []byte(aidOTP)); err != nil {
			return 0, statusOnly(err)
		}
		defer func() { _ = a.enter(ctx) }() // the next command tells
	}
	b, err := a.send(ctx, cmd)
	if err != nil {
		return 0, statusOnly(err)
	}
	if len(b) != 4 {
		return 0, nil
	}
	return token.Serial(b[0])<<24 | token.Serial(b[1])<<16 | token.Serial(b[2])<<8 | token.Serial(b[3]), nil
}

// statusOnly is nil for what the card refused, and the error for what did not reach it.
func statusOnly(err error) error {
	var sw apdu.Status
	if errors.As(err, &sw) {
		return nil
	}
	return err
}

// metadata is what firmware 5.3 tells about a reference; nil for an empty slot.
func (a *applet) metadata(ctx context.Context, reference byte) ([]byte, error) {
	b, err := a.send(ctx, apdu.Command{Instruction: insMetadata, P2: reference, Expect: apdu.Any})
	if errors.Is(err, apdu.NoSuchReference) || errors.Is(err, apdu.NotFound) || errors.Is(err, apdu.WrongData) || errors.Is(err, apdu.WrongP1P2) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("metadata of %02x: %w", reference, err)
	}
	return b, nil
}

// pinTries costs none. The PIN must not be verified: the card tells no number then.
func (a *applet) pinTries(ctx context.Context) (int, error) {
	if a.version.AtLeast(5, 3, 0) {
		ref, err := a.reference(ctx, refPIN)
		return ref.Left, err
	}
	for range 2 {
		_, err := a.send(ctx, apdu.Command{Instruction: insVerify, P2: refPIN})
		if n, ok := tries(err); ok {
			return n, nil
		}
		if err != nil {
			return 0, fmt.Errorf("tries of the PIN: %w", err)
		}
		if err := errors.Join(a.leave(ctx), a.enter(ctx)); err != nil { // verified by whoever was here before
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: the card does not forget the PIN", piv.ErrProtocol)
}

// tries is how many are left by a status: 63Cn, 6983 for none, or 630n of older keys (piv-go #60).
func tries(err error) (n int, ok bool) {
	var sw apdu.Status
	switch {
	case !errors.As(err, &sw):
		return 0, false
	case sw == apdu.AuthBlocked:
		return 0, true
	case sw&0xFFF0 == 0x6300:
		return int(sw & 0x0F), true
	}
	return sw.Tries()
}

// reference reads PIN or PUK. Before firmware 5.3 only the PIN's tries are told.
func (a *applet) reference(ctx context.Context, which byte) (piv.Reference, error) {
	if !a.version.AtLeast(5, 3, 0) {
		if which == refPUK {
			return piv.Reference{Left: -1}, nil
		}
		left, err := a.pinTries(ctx)
		return piv.Reference{Left: left}, err
	}
	b, err := a.metadata(ctx, which)
	if err != nil {
		return piv.Reference{}, err
	}
	return readReference(b)
}

// management reads the management key. Before firmware 5.3 the one of a new card is tried, which is not counted.
func (a *applet) management(ctx context.Context) (piv.Management, error) {
	if a.version.AtLeast(5, 3, 0) {
		b, err := a.metadata(ctx, refManagement)
		if err != nil {
			return piv.Management{}, err
		}
		return readManagement(b)
	}
	m := piv.Management{Algorithm: piv.TripleDES, Default: piv.Yes}
	isNew := piv.DefaultManagementKey()
	defer isNew.Destroy()
	err := a.authenticate(ctx, isNew)
	if errors.Is(err, piv.ErrManagementKey) {
		m.Default, err = piv.No, nil
	}
	return m, err
}

// Tags of a dynamic authentication template. Source: NIST SP 800-73-4 part 2 table 7.
const (
	tagTemplate  = 0x7C
	tagWitness   = 0x80
	tagChallenge = 0x81
	tagResponse  = 0x82
)

// authenticate proves the management key to the card and the card to us. It wraps piv.ErrManagementKey.
func (a *applet) authenticate(ctx context.Context, key secret.Bytes) error {
	algorithm := piv.TripleDES
	if a.version.AtLeast(5, 3, 0) {
		m, err := a.management(ctx)
		if err != nil {
			return err
		}
		algorithm = m.Algorithm
	}
	if key.Len() != algorithm.Len() {
		return fmt.Errorf("%w: it has %d bytes, of %s it has %d", piv.ErrManagementKey, key.Len(), algorithm, algorithm.Len())
	}
	block, err := newCipher(algorithm, key.Reveal())
	if err != nil {
		return err
	}
	answer, err := a.dynamic(ctx, byte(algorithm), apdu.AppendTLV(nil, tagWitness, nil))
	if err != nil {
		return err
	}
	witness, ok := apdu.Find(answer, tagTemplate, tagWitness)
	if !ok || len(witness) != block.BlockSize() {
		return fmt.Errorf("%w: no witness", piv.ErrProtocol)
	}
	proof, challenge, want := make([]byte, len(witness)), make([]byte, len(witness)), make([]byte, len(witness))
	block.Decrypt(proof, witness)
	if _, err := io.ReadFull(a.rand, challenge); err != nil {
		return fmt.Errorf("draw a challenge: %w", err)
	}
	block.Encrypt(want, challenge)
	answer, err = a.dynamic(ctx, byte(algorithm), apdu.AppendTLV(apdu.AppendTLV(nil, tagWitness, proof), tagChallenge, challenge))
	var sw apdu.Status
	if errors.As(err, &sw) && (sw == apdu.SecurityNotSatisfied || sw&0xFF00 == 0x6300 || sw == apdu.AuthBlocked || sw == apdu.WrongData) {
		return fmt.Errorf("%w (%w)", piv.ErrManagementKey, err)
	}
	if err != nil {
		return err
	}
	got, ok := apdu.Find(answer, tagTemplate, tagResponse)
	if !ok || subtle.ConstantTimeCompare(got, want) != 1 {
		return fmt.Errorf("%w: the card does not prove that it has it", piv.ErrManagementKey)
	}
	a.proven = true
	return nil
}

func (a *applet) dynamic(ctx context.Context, algorithm byte, items []byte) ([]byte, error) {
	return a.send(ctx, apdu.Command{
		Instruction: insAuthenticate, P1: algorithm, P2: refManagement, Data: apdu.AppendTLV(nil, tagTemplate, items), Expect: apdu.Any,
	})
}

func newCipher(algorithm piv.ManagementAlgorithm, key []byte) (cipher.Block, error) {
	if algorithm == piv.TripleDES {
		return des.NewTripleDESCipher(key)
	}
	return aes.NewCipher(key)
}

// Tags of data objects. Source: NIST SP 800-73-4 part 2 §3.1.2.
const (
	tagList  = 0x5C
	tagValue = 0x53
)

func objectID(o piv.Object) []byte {
	return apdu.AppendTLV(nil, tagList, []byte{byte(o >> 16), byte(o >> 8), byte(o)})
}

// object is the value of a data object, nil if there is none, or none to be read without the PIN.
func (a *applet) object(ctx context.Context, o piv.Object) ([]byte, error) {
	b, err := a.send(ctx, apdu.Command{Instruction: insGetData, P1: dataObjects, P2: wholeObject, Data: objectID(o), Expect: apdu.Any})
	if err != nil {
		return nil, statusOnly(err)
	}
	value, _ := apdu.Find(b, tagValue)
	return value, nil
}

// putObject stores a data object, or removes it.
func (a *applet) putObject(ctx context.Context, o piv.Object, value []byte) error {
	data := apdu.AppendTLV(objectID(o), tagValue, value)
	if _, err := a.send(ctx, apdu.Command{Instruction: insPutData, P1: dataObjects, P2: wholeObject, Data: data}); err != nil {
		return fmt.Errorf("write object %06x: %w", uint32(o), err)
	}
	return nil
}

// deleteKey removes a key; an empty slot is no error.
func (a *applet) deleteKey(ctx context.Context, s piv.Slot) error {
	if since := (ykslot.Version{Major: 5, Minor: 7}); a.version.Compare(since) < 0 {
		return &piv.UnsupportedError{What: "deleting a key", Has: a.version, Since: since}
	}
	_, err := a.send(ctx, apdu.Command{Instruction: insMoveKey, P1: toNowhere, P2: byte(s)})
	if errors.Is(err, apdu.NoSuchReference) {
		return nil
	}
	return err
}

// facts reads everything.
func (a *applet) facts(ctx context.Context) (f piv.Facts, err error) {
	f.Version = a.version
	if f.Serial, err = a.serial(ctx); err != nil {
		return f, err
	}
	if f.PIN, err = a.reference(ctx, refPIN); err != nil {
		return f, err
	}
	if f.PUK, err = a.reference(ctx, refPUK); err != nil {
		return f, err
	}
	if f.Management, err = a.management(ctx); err != nil {
		return f, err
	}
	for _, o := range []struct {
		object piv.Object
		there  *bool
	}{{piv.CHUID, &f.CHUID}, {piv.CCC, &f.CCC}} {
		b, err := a.object(ctx, o.object)
		if err != nil {
			return f, err
		}
		*o.there = len(b) > 0
	}
	admin, err := a.object(ctx, piv.AdminData)
	if err != nil {
		return f, err
	}
	f.OnCard = onCard(admin)
	if maker, err := a.object(ctx, piv.Attestation.Object()); err != nil {
		return f, err
	} else if c, err := readCertificate(maker); err == nil {
		f.Maker = c
	}
	for _, s := range piv.Slots() {
		k, err := a.slot(ctx, s)
		if err != nil {
			return f, err
		}
		if k.Key == piv.Yes || k.Object {
			f.Keys = append(f.Keys, k)
		}
	}
	return f, nil
}

// slot reads one slot. Before firmware 5.3 a key shows by its attestation only, which takes a second on firmware 4: retired slots without
// a certificate are not asked for one.
func (a *applet) slot(ctx context.Context, s piv.Slot) (piv.KeyFacts, error) {
	k := piv.KeyFacts{Slot: s}
	value, err := a.object(ctx, s.Object())
	if err != nil {
		return k, err
	}
	k.Object = len(value) > 0
	if c, err := readCertificate(value); err == nil {
		k.Certificate = c
	}
	if !a.version.AtLeast(5, 3, 0) {
		if a.version.AtLeast(4, 3, 0) && (!s.Retired() || k.Object) {
			return k, a.attested(ctx, &k)
		}
		return k, nil
	}
	b, err := a.metadata(ctx, byte(s))
	if err != nil {
		return k, err
	}
	if b == nil {
		k.Key = piv.No
		return k, nil
	}
	return k, readKey(b, &k)
}

// insAttest is Yubico's; P1 is the slot. Source: reference yubikey-otp.md §8.
const insAttest = 0xF9

// attested fills in what an attestation says, if the card gives one.
func (a *applet) attested(ctx context.Context, k *piv.KeyFacts) error {
	b, err := a.send(ctx, apdu.Command{Instruction: insAttest, P1: byte(k.Slot), Expect: apdu.Any})
	if err != nil {
		return statusOnly(err)
	}
	if c, err := readCertificate(apdu.AppendTLV(nil, tagCertificate, bytes.Clone(b))); err == nil {
		piv.FillAttested(k, c)
	}
	return nil
}
