package ykslot

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// UpdateFlags are those of f that an update takes over: all extended flags, what is typed around the text, and in modes that type
// the pacing. Source: reference yubikey-otp.md §3.2.
func UpdateFlags(f Flags) Flags {
	u := Flags{Ext: f.Ext & ExtUpdateMask, Ticket: f.Ticket & TicketUpdateMask}
	if typing.has(f.Mode()) {
		u.Config = f.Config & ConfigUpdateMask
	}
	return u
}

// AccessCodeByUpdate is nil when the access code of a slot with flags f can be set, changed or removed on firmware v while the
// rest of the slot stays as it is. Otherwise the slot must be written anew: *UnsupportedError, or *InvalidError for a slot that
// does not allow updates.
func AccessCodeByUpdate(v Version, f Flags) error {
	if err := FeatureUpdate.Supported(v); err != nil {
		return err
	}
	if err := FeatureUpdateAccessCode.Supported(v); err != nil {
		return err
	}
	if f.Ext&AllowUpdate == 0 {
		return &InvalidError{"the slot was written without ALLOW_UPDATE"}
	}
	return nil
}

// SetAccessCode sets, changes or, with an empty code, removes the access code of a slot. cfg is what the slot holds, as recorded:
// nothing of it can be read back. An update does it where it can (see AccessCodeByUpdate), and of cfg only the flags matter.
// Elsewhere the slot is written anew with cfg and rewritten is true: counters start again as cfg says, so whoever checks the
// slot's passwords must be told; a cfg without key only ever updates. current and errors are as in Write.
func (s *Session) SetAccessCode(ctx context.Context, slot Slot, cfg Config, code, current secret.Bytes) (rewritten bool, err error) {
	how := AccessCodeByUpdate(s.version(), cfg.Flags)
	if how == nil {
		return false, s.Update(ctx, slot, UpdateFlags(cfg.Flags), code, current)
	}
	if cfg.Key.Len() == 0 {
		return false, opError(opUpdate, slot, how)
	}
	cfg.AccessCode = code
	err = s.Write(ctx, slot, cfg, current)
	var rejected *RejectedError
	return err == nil || errors.Is(err, ErrUnsettled) && !errors.As(err, &rejected), err
}
