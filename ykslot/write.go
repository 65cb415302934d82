package ykslot

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Write programs a slot anew: everything in it is replaced, the counters start again, and the access code becomes
// cfg.AccessCode. current is the slot's access code now, empty if it has none. Before anything is sent: *InvalidError,
// *UnsupportedError. A refused write is a *RejectedError; ErrUnsettled is wrapped when the outcome was not seen; any
// other error means that nothing changed.
func (s *Session) Write(ctx context.Context, slot Slot, cfg Config, current secret.Bytes) error {
	err := cfg.Validate()
	if err == nil {
		err = cfg.Supported(s.version())
	}
	if err != nil {
		return opError(opWrite, slot, err)
	}
	return s.change(ctx, opWrite, slot, &cfg, current)
}

// Delete empties a slot. current and errors are as in Write; an empty slot of an otherwise empty key refuses.
func (s *Session) Delete(ctx context.Context, slot Slot, current secret.Bytes) error {
	return s.change(ctx, opDelete, slot, nil, current)
}

// UpdateFlags are those of f that an update takes over: all extended flags, what is typed around the text, and in modes that type
// the pacing. Source: reference yubikey-otp.md §3.2.
func UpdateFlags(f Flags) Flags {
	u := Flags{Ext: f.Ext & ExtUpdateMask, Ticket: f.Ticket & TicketUpdateMask}
	if typing.has(f.Mode()) {
		u.Config = f.Config & ConfigUpdateMask
	}
	return u
}

// Update sets, changes or removes a slot's access code and overwrites every flag that an update can change; the key, the
// IDs and the counters stay. The flags cannot be read back, so f must be the complete set; flags outside the update
// masks are refused with *InvalidError. code is the access code afterwards: to keep one, give it again; empty removes
// it. current and errors are as in Write.
func (s *Session) Update(ctx context.Context, slot Slot, f Flags, code, current secret.Bytes) error {
	v := s.version()
	err := FeatureUpdate.Supported(v)
	if err == nil {
		err = Config{Flags: f}.Supported(v)
	}
	if err == nil && !sameCode(code, current) {
		err = FeatureUpdateAccessCode.Supported(v)
	}
	switch {
	case f.Ticket&^TicketUpdateMask != 0 || f.Config&^ConfigUpdateMask != 0:
		err = &InvalidError{"an update changes neither mode nor key, only what is typed around them"}
	case f.Ext&Dormant != 0 && f.Ext&AllowUpdate == 0:
		err = errDormant
	}
	if err != nil {
		return opError(opUpdate, slot, err)
	}
	c := updateConfig(f, code)
	return s.change(ctx, opUpdate, slot, &c, current)
}

// updateConfig is what an update sends: flags and access code, and a fixed part of 16 zeros as the vendor's tool has it. Source:
// reference yubikey-otp.md §3.1.
func updateConfig(f Flags, code secret.Bytes) Config {
	return Config{Fixed: make([]byte, FixedLen), AccessCode: code, Flags: f}
}

// sameCode compares access codes; none and zeros are the same.
func sameCode(a, b secret.Bytes) bool { return a.Equal(b) || a.IsZero() && b.IsZero() }

// Swap exchanges the two slots. It fails while either has an access code. Errors are as in Write.
func (s *Session) Swap(ctx context.Context) error {
	if err := FeatureSwap.Supported(s.version()); err != nil {
		return opError(opSwap, 0, err)
	}
	return s.run(ctx, opSwap, 0, CommandSwap, nil, secret.Bytes{})
}

// op is a kind of change, or a challenge.
type op uint16

const (
	opWrite op = 1 << iota
	opDelete
	opUpdate
	opSwap
	opNDEF
	opScanMap
	opMode
	opDevice
	opChallenge
)

func (o op) String() string {
	return map[op]string{
		opWrite: "write", opDelete: "delete", opUpdate: "update", opSwap: "swap slots", opNDEF: "write NDEF", opScanMap: "write scan map",
		opMode: "set USB mode", opDevice: "write device settings", opChallenge: "challenge",
	}[o]
}

// ofKey is true for what concerns the whole key and not one slot.
func (o op) ofKey() bool { return o&(opSwap|opScanMap|opMode|opDevice) != 0 }

func opError(o op, slot Slot, err error) error {
	if o.ofKey() {
		return fmt.Errorf("%v: %w", o, err)
	}
	return fmt.Errorf("%v: %v: %w", slot, o, err)
}

// change sends a configuration (nil: zeros) behind its command.
func (s *Session) change(ctx context.Context, o op, slot Slot, cfg *Config, current secret.Bytes) error {
	if slot == Slot2 {
		if err := FeatureSlot2.Supported(s.version()); err != nil {
			return opError(o, slot, err)
		}
	}
	var body [ConfigLen]byte
	defer clear(body[:])
	if cfg != nil {
		if _, err := cfg.AppendMarshal(body[:0]); err != nil {
			return opError(o, slot, err)
		}
	}
	return s.run(ctx, o, slot, commandOf(o, slot), body[:], current)
}

func commandOf(o op, slot Slot) Command {
	if o == opUpdate {
		return ofSlot(slot, CommandUpdate1, CommandUpdate2)
	}
	return ofSlot(slot, CommandWrite1, CommandWrite2)
}

// run sends a command whose payload is body and the current access code, and judges it.
func (s *Session) run(ctx context.Context, o op, slot Slot, cmd Command, body []byte, current secret.Bytes) error {
	if !o.ofKey() && !slot.valid() {
		return opError(o, slot, &InvalidError{"there is no such slot"})
	}
	var payload [PayloadLen]byte
	defer clear(payload[:])
	copy(payload[:], body)
	if n := current.Len(); n != 0 && n != AccessCodeLen {
		return opError(o, slot, &InvalidError{fmt.Sprintf("the current access code has %d bytes, want %d", n, AccessCodeLen)})
	}
	copy(payload[len(body):], current.Reveal())
	before, err := s.carrier.change(ctx, cmd, payload[:len(body)+AccessCodeLen])
	switch {
	case errors.Is(err, errRefused):
		protects := o == opWrite && TicketFlag(body[offTicket])&ProtectCfg2 != 0
		return opError(o, slot, newRejected(o, slot, before, !current.IsZero(), protects))
	case err != nil:
		return opError(o, slot, err)
	}
	return nil
}

// Accepted judges a write by the status before and after it, without a power cycle between: the programming sequence
// went up by one, or to 0 because no slot is left. From 255, where no vendor tool knows what follows, any change will
// do: a refused write leaves it as it was. Source: reference yubikey-otp.md §1.6 (the vendor's 5.x tool).
func Accepted(before, after Status) bool {
	switch {
	case before.ProgSeq == 255:
		return after.ProgSeq != before.ProgSeq
	case after.ProgSeq == before.ProgSeq+1:
		return true
	}
	return after.ProgSeq == 0 && before.ProgSeq > 0 && after.Touch&touchAnySlot == 0
}
