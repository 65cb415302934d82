package provision

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// Escrow keeps secrets that guard applications of keys. Every method is durable before it returns, and writes its audit event in the same
// transaction.
type Escrow interface {
	// KeepEscrow seals a secret before it goes to a key.
	KeepEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, s secret.Bytes) (token.EscrowID, error)
	// SettleEscrow says which secret of that kind the key was seen to have, 0 for none. The others are forgotten.
	SettleEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, held token.EscrowID) error
}

// SettingsDevice is one opened key; an ykslot.Session.
type SettingsDevice interface {
	DeviceInfo(ctx context.Context) (ykslot.DeviceInfo, error)
	WriteDeviceConfig(ctx context.Context, d ykslot.DeviceConfig) error
	SetMode(ctx context.Context, m ykslot.USBMode) error
}

// SettingsRunner changes the settings of keys.
type SettingsRunner struct {
	Codes Escrow
	Rand  io.Reader
	// Again finds the key by its serial number after it restarted. It bounds the wait.
	Again func(ctx context.Context) (SettingsDevice, error)
}

// ErrOtherSettings: the key says that it has other settings than were written.
var ErrOtherSettings = errors.New("the key does not have the settings that were written")

// Run carries out a plan on dev, which must be the key that it was made for, and returns what the key says afterwards, which is zero for
// firmware 3 and 4. A lock code is durable in the store before the key gets it, and one that was on its way when a run was interrupted is used
// instead of a second one. Interrupted anywhere, the store has the code that the key has.
func (r *SettingsRunner) Run(ctx context.Context, dev SettingsDevice, p SettingsPlan) (ykslot.DeviceInfo, error) {
	if p.Mode != nil {
		return ykslot.DeviceInfo{}, dev.SetMode(ctx, *p.Mode)
	}
	cfg, fresh, err := r.config(ctx, p)
	if err != nil {
		return ykslot.DeviceInfo{}, err
	}
	defer fresh.Secret.Destroy()
	used, err := r.write(ctx, dev, cfg, p)
	seen := err == nil
	if err != nil && !errors.Is(err, ykslot.ErrUnsettled) {
		return ykslot.DeviceInfo{}, err
	}
	held := used
	if p.Lock == SetLock {
		held = fresh.ID
	}
	if seen && (p.LockedAfter || p.Locked) {
		if !p.LockedAfter {
			held = 0
		}
		// The key has done it: what the store says must not depend on what comes now.
		if err := r.Codes.SettleEscrow(context.WithoutCancel(ctx), p.Serial, token.LockCode, held); err != nil {
			return ykslot.DeviceInfo{}, err
		}
	}
	if p.Restarts() {
		if p.Unreachable {
			return ykslot.DeviceInfo{}, nil
		}
		if dev, err = r.Again(ctx); err != nil {
			return ykslot.DeviceInfo{}, unread(seen, err)
		}
	}
	info, err := dev.DeviceInfo(ctx)
	if n := token.Serial(info.Serial); err == nil && n != 0 && n != p.Serial { // a key without visible serial number is found as the only one
		err = fmt.Errorf("%w: key %s is there instead of %s", ErrOtherSettings, n, p.Serial)
	}
	if err != nil {
		return ykslot.DeviceInfo{}, unread(seen, err)
	}
	return info, r.verify(ctx, p, info, seen, held)
}

// unread says that settings were not read back.
func unread(seen bool, err error) error {
	if seen {
		return fmt.Errorf("the settings were written, but not read back: %w", err)
	}
	return fmt.Errorf("%w: the settings may be written: %w", ykslot.ErrUnsettled, err)
}

// config is what to write, but for the code that opens the lock. A new lock code is durable when it returns.
func (r *SettingsRunner) config(ctx context.Context, p SettingsPlan) (ykslot.DeviceConfig, token.Escrow, error) {
	cfg := ykslot.DeviceConfig{Reboot: p.Restarts()}
	if p.USB != p.USBAfter {
		cfg.USBEnabled = &p.USBAfter
	}
	if p.NFC != p.NFCAfter {
		cfg.NFCEnabled = &p.NFCAfter
	}
	var fresh token.Escrow
	switch {
	case p.Lock == RemoveLock && p.Locked:
		cfg.NewLockCode = secret.New(make([]byte, ykslot.LockCodeLen))
	case p.Lock == SetLock && !p.Locked && len(p.Codes) > 0: // of a run that was interrupted
		fresh = token.Escrow{ID: p.Codes[0].ID, Secret: p.Codes[0].Secret.Clone()}
	case p.Lock == SetLock:
		var err error
		if fresh.Secret, err = secret.Random(r.Rand, ykslot.LockCodeLen); err != nil {
			return cfg, fresh, err
		}
		if fresh.ID, err = r.Codes.KeepEscrow(ctx, p.Serial, token.LockCode, fresh.Secret); err != nil {
			fresh.Secret.Destroy()
			return cfg, fresh, err
		}
	}
	if p.Lock == SetLock {
		cfg.NewLockCode = fresh.Secret
	}
	return cfg, fresh, nil
}

// write sends the settings, with each code that may open the lock, and returns the one that did.
func (r *SettingsRunner) write(ctx context.Context, dev SettingsDevice, cfg ykslot.DeviceConfig, p SettingsPlan) (token.EscrowID, error) {
	if !p.Locked {
		return 0, dev.WriteDeviceConfig(ctx, cfg)
	}
	for _, c := range p.Codes {
		cfg.Unlock = c.Secret
		err := dev.WriteDeviceConfig(ctx, cfg)
		if err == nil || !refused(err) {
			return c.ID, err
		}
	}
	return 0, &RefusedError{Serial: p.Serial, Detail: fmt.Sprintf("of %d that it has, none opens it", len(p.Codes)), Err: ErrLockUnknown}
}

// verify compares what the key says with what was written. Where the write itself was not seen to the end, it tells which lock code the key
// has, unless one was replaced by another: then the store keeps both.
func (r *SettingsRunner) verify(ctx context.Context, p SettingsPlan, info ykslot.DeviceInfo, seen bool, held token.EscrowID) error {
	same := info.USBEnabled == p.USBAfter && info.NFCEnabled == p.NFCAfter && info.Locked == p.LockedAfter
	switch {
	case !same:
		return fmt.Errorf("key %s: %w: on USB %v, on NFC %v", p.Serial, ErrOtherSettings, info.USBEnabled, info.NFCEnabled)
	case seen, !p.Locked && !p.LockedAfter:
		return nil
	case p.Locked && p.Lock == SetLock:
		return fmt.Errorf("key %s: %w: it has its former lock code or the new one; the store keeps both", p.Serial, ykslot.ErrUnsettled)
	case !p.LockedAfter:
		held = 0
	}
	return r.Codes.SettleEscrow(ctx, p.Serial, token.LockCode, held)
}
