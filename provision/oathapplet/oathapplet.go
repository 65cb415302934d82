// Package oathapplet keeps TOTP and HOTP accounts on a YubiKey: it speaks with the key's OATH application over the commands
// of a smart card. The key holds the seeds and makes the codes; a seed that was put never comes out again.
//
//	s, err := oathapplet.Open(ctx, card, rand.Reader)
//	if s.Info().Locked {
//		key := oathapplet.DeriveKey(password, s.Info().Salt)
//		defer key.Destroy()
//		err = s.Unlock(ctx, key)
//	}
//	a := oathapplet.Account{Issuer: "Nextcloud", Name: "dave", Kind: token.TOTP, Hash: oath.SHA1, Digits: 6}
//	err = s.Put(ctx, a, seed, 0)          // refuses to overwrite
//	code, err := s.Calculate(ctx, a, now) // what a server must expect
//
// An account is found by its ID, "issuer:name", before which a period other than 30 seconds stands: "60/issuer:name". The key
// would overwrite an account of the same ID without a word, and some firmware a longer one too: Put looks first.
//
// What a key answers is not trusted: it is bounded, every length is checked, and names come out as they are, so whoever
// prints them escapes them. Not done: secure channels (SCP), and accounts whose challenges may only rise.
package oathapplet

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// The application. Source: reference yubikey-otp.md §5, §6.1.
const (
	applicationID = "\xA0\x00\x00\x05\x27\x21\x01"
	unselect      = "\xA4\x04\x00\x08" // a NEO leaves its Management application by it: §7.1
)

// Instructions. Source: reference yubikey-otp.md §6.1.
const (
	insPut          = 0x01
	insDelete       = 0x02
	insSetCode      = 0x03
	insReset        = 0x04 // P1 DE, P2 AD
	insRename       = 0x05
	insList         = 0xA1
	insCalculate    = 0xA2 // P2: truncated
	insValidate     = 0xA3
	insCalculateAll = 0xA4 // P2: truncated
	insRemaining    = 0xA5
	truncated       = 0x01
)

// Tags. Source: reference yubikey-otp.md §6.2.
const (
	tagName      = 0x71 // of an account; in the answer to SELECT the salt
	tagEntry     = 0x72
	tagKey       = 0x73
	tagChallenge = 0x74
	tagFull      = 0x75
	tagTruncated = 0x76
	tagHOTP      = 0x77
	tagProperty  = 0x78 // without a length
	tagVersion   = 0x79
	tagMoving    = 0x7A
	tagAlgorithm = 0x7B
	tagTouch     = 0x7C
)

// Lengths in bytes. Source: reference yubikey-otp.md §6.1, §6.3.
const (
	SaltLen      = 8
	challengeLen = 8
	versionLen   = 3
)

// Info is what the application says about itself when it is selected.
type Info struct {
	// Version is the key's firmware; a NEO says that of its applet, 1.0.x.
	Version ykslot.Version
	// Salt makes the access key of a password, and changes with a reset.
	Salt [SaltLen]byte
	// DeviceID is how Yubico's programs name a key's OATH application: 22 characters of base64, made of Salt.
	DeviceID string
	// HasPassword: a password guards the accounts. Locked: it was not given since the application was selected.
	HasPassword, Locked bool
}

// Session is a selected application. It belongs to one goroutine, and its card must be held exclusively: another program that
// selects another application makes every further command fail. Methods but Open, Unlock and Reset fail with ErrLocked
// while Info().Locked.
//
// A cancelled context is noticed before a command is sent. Commands that change the key are then waited for, up to
// changeTime; if their answer does not come the error wraps ykslot.ErrUnsettled. Others are given up.
type Session struct {
	ch        apdu.Channel
	random    io.Reader
	info      Info
	challenge []byte // the key's, for one Unlock; nil: it must be asked for anew
	algorithm byte   // of the access key; 0: not told
}

// changeTime bounds the wait for a change; the slowest, a reset, takes 0.4 seconds (reference yubikey-otp.md §6.3).
const changeTime = 15 * time.Second

// Open selects the OATH application of a card. random, crypto/rand.Reader outside tests, makes the challenges that a key must
// answer. It wraps ErrNoApplet, apdu.ErrProtocol, and the card's errors.
func Open(ctx context.Context, card apdu.Transmitter, random io.Reader) (*Session, error) {
	s := &Session{ch: apdu.Channel{Card: card, Remaining: insRemaining}, random: random}
	err := s.enter(ctx)
	if errors.Is(err, apdu.NotFound) { // a NEO whose Management application was used; what it answers does not matter
		if err = ctx.Err(); err == nil {
			_, err = card.Transmit(ctx, []byte(unselect))
		}
		if err == nil {
			err = s.enter(ctx)
		}
		if errors.Is(err, apdu.NotFound) {
			err = fmt.Errorf("%w: %w", ErrNoApplet, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the OATH application: %w", err)
	}
	return s, nil
}

// Info is what is known about the application now.
func (s *Session) Info() Info { return s.info }

// enter selects the application, which forgets that it was unlocked.
func (s *Session) enter(ctx context.Context) error {
	s.challenge = nil
	answer, err := s.ch.Select(ctx, []byte(applicationID))
	if err != nil {
		return err
	}
	version, told := apdu.Find(answer, tagVersion)
	salt, salted := apdu.Find(answer, tagName)
	if !told || len(version) != versionLen || !salted || len(salt) != SaltLen {
		return fmt.Errorf("%w: no version or no salt", apdu.ErrProtocol)
	}
	challenge, locked := apdu.Find(answer, tagChallenge)
	if locked && len(challenge) != challengeLen {
		return fmt.Errorf("%w: a challenge of %d bytes", apdu.ErrProtocol, len(challenge))
	}
	sum := sha256.Sum256(salt)
	s.info = Info{
		Version:     ykslot.Version{Major: version[0], Minor: version[1], Patch: version[2]},
		Salt:        [SaltLen]byte(salt),
		DeviceID:    base64.RawStdEncoding.EncodeToString(sum[:16]),
		HasPassword: locked,
		Locked:      locked,
	}
	s.algorithm = 0
	if locked {
		s.challenge = append([]byte(nil), challenge...)
		if a, ok := apdu.Find(answer, tagAlgorithm); ok && len(a) == 1 {
			s.algorithm = a[0]
		}
	}
	return nil
}

// ask sends a command of a key that is unlocked.
func (s *Session) ask(ctx context.Context, c apdu.Command, means meanings) ([]byte, error) {
	if s.info.Locked {
		return nil, ErrLocked
	}
	data, err := s.ch.Send(ctx, c)
	return data, s.judge(err, means)
}

// change sends a command that changes the key, clears its data, and waits for its end.
func (s *Session) change(ctx context.Context, c apdu.Command, means meanings) error {
	defer clear(c.Data)
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTime)
	defer cancel()
	_, err := s.ch.Send(ctx, c)
	return unsettled(s.judge(err, means))
}
