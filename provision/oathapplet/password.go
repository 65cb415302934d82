package oathapplet

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/pbkdf2"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// The access key is made of a password as Yubico's programs do it. Source: reference yubikey-otp.md §6.3.
const (
	accessKeyLen   = 16
	accessKeyTurns = 1000
	accessKeyType  = typeTOTP | 0x01 // SHA-1, whatever the accounts use
)

// AccessKey is what unlocks the accounts of one key, until it is reset.
type AccessKey struct{ secret.Bytes }

// DeriveKey is the access key of a password in UTF-8 on the key with a salt: PBKDF2 with HMAC-SHA-1 and 1000 turns, 16 bytes.
// The caller destroys it.
func DeriveKey(password secret.Bytes, salt [SaltLen]byte) AccessKey {
	return AccessKey{secret.New(pbkdf2.Key(password.Reveal(), salt[:], accessKeyTurns, accessKeyLen, sha1.New))}
}

// respond is what whoever has the key answers to a challenge.
func (k AccessKey) respond(challenge []byte) []byte {
	m := hmac.New(sha1.New, k.Reveal())
	m.Write(challenge)
	return m.Sum(nil)
}

// Unlock opens a locked key, and makes the key prove that it knows the password too; one that is not locked stays as it is. It
// wraps ErrWrongPassword, after which it may be called again, and ErrForeignPassword.
func (s *Session) Unlock(ctx context.Context, key AccessKey) error {
	if err := s.unlock(ctx, key); err != nil {
		return fmt.Errorf("unlock the OATH accounts: %w", err)
	}
	return nil
}

func (s *Session) unlock(ctx context.Context, key AccessKey) error {
	if s.info.Locked && s.challenge == nil {
		if err := s.enter(ctx); err != nil {
			return err
		}
	}
	switch {
	case !s.info.Locked:
		return nil
	case s.algorithm != 0 && s.algorithm&hashMask != accessKeyType&hashMask:
		return ErrForeignPassword
	}
	own, err := s.draw()
	if err != nil {
		return err
	}
	data := apdu.AppendTLV(nil, tagFull, key.respond(s.challenge))
	data = apdu.AppendTLV(data, tagChallenge, own)
	s.challenge = nil // for one answer
	answer, err := s.ch.Send(ctx, apdu.Command{Instruction: insValidate, Data: data})
	if errors.Is(err, apdu.WrongData) {
		return fmt.Errorf("%w (%w)", ErrWrongPassword, err)
	}
	if err != nil {
		return err
	}
	if proof, ok := apdu.Find(answer, tagFull); !ok || !hmac.Equal(proof, key.respond(own)) {
		return fmt.Errorf("%w: the key took the password and does not know it", apdu.ErrProtocol)
	}
	s.info.Locked = false
	return nil
}

func (s *Session) draw() ([]byte, error) {
	own := make([]byte, challengeLen)
	if _, err := io.ReadFull(s.random, own); err != nil {
		return nil, fmt.Errorf("draw a challenge: %w", err)
	}
	return own, nil
}

// SetPassword guards the accounts with a password of 1 byte or more, in the place of the one there is, and proves on the key that
// it unlocks them. It wraps ErrNoPassword; if the proof fails, ykslot.ErrUnsettled.
func (s *Session) SetPassword(ctx context.Context, password secret.Bytes) error {
	if err := s.setPassword(ctx, password); err != nil {
		return fmt.Errorf("set the password of the OATH accounts: %w", err)
	}
	return nil
}

func (s *Session) setPassword(ctx context.Context, password secret.Bytes) error {
	switch {
	case password.Len() == 0:
		return ErrNoPassword
	case s.info.Locked:
		return ErrLocked
	}
	own, err := s.draw()
	if err != nil {
		return err
	}
	key := DeriveKey(password, s.info.Salt)
	defer key.Destroy()
	value := append(make([]byte, 0, 1+accessKeyLen), accessKeyType)
	value = append(value, key.Reveal()...)
	defer clear(value)
	data := apdu.AppendTLV(make([]byte, 0, maxPut), tagKey, value)
	data = apdu.AppendTLV(data, tagChallenge, own)
	data = apdu.AppendTLV(data, tagFull, key.respond(own))
	if err := s.change(ctx, apdu.Command{Instruction: insSetCode, Data: data}, nil); err != nil {
		return err
	}
	err = s.enter(ctx)
	if err == nil && !s.info.Locked {
		err = fmt.Errorf("%w: the key took the password and does not ask for it", apdu.ErrProtocol)
	}
	if err == nil {
		err = s.unlock(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("%w: prove the new password: %w", ykslot.ErrUnsettled, err)
	}
	return nil
}

// RemovePassword leaves the accounts without a password.
func (s *Session) RemovePassword(ctx context.Context) error {
	if err := s.removePassword(ctx); err != nil {
		return fmt.Errorf("remove the password of the OATH accounts: %w", err)
	}
	return nil
}

func (s *Session) removePassword(ctx context.Context) error {
	if s.info.Locked {
		return ErrLocked
	}
	if err := s.change(ctx, apdu.Command{Instruction: insSetCode, Data: apdu.AppendTLV(nil, tagKey, nil)}, nil); err != nil {
		return err
	}
	err := s.enter(ctx)
	if err == nil && s.info.Locked {
		err = fmt.Errorf("%w: the key still asks for it", apdu.ErrProtocol)
	}
	if err != nil {
		return fmt.Errorf("%w: look whether it is gone: %w", ykslot.ErrUnsettled, err)
	}
	return nil
}
