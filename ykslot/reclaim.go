package ykslot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// After the key was used as a smart card or for FIDO, its OTP interface ignores frames for about 3 s, though it shows its status.
// Silence and refusal mean nothing then. Source: reference yubikey-otp.md §1.7.
const (
	reclaimBudget = 3500 * time.Millisecond // the vendor's tool tries for 3 s
	reclaimPause  = 500 * time.Millisecond
)

// reclaimed is called when the key did not do what it was told: it reports whether the key may have ignored everything, and does
// not any more. It asks a question that each key of its firmware answers, until it does, or ErrNotAnswering; on firmware without
// one that of the serial number, which a key may hide: then it waits as long as keys ignore frames, once a session.
func (c *reports) reclaimed(ctx context.Context) (bool, error) {
	probe := question{cmd: CommandSerial, answer: serialLen}
	switch v := c.status.Version; {
	case FeatureDeviceInfo.Supported(v) == nil:
		probe = question{cmd: CommandDeviceInfo, payload: []byte{0}, answer: counted}
	case v.Major < neoMajor, c.hides: // one interface only, or waited for in vain before
		return false, nil
	}
	for waited := time.Duration(0); ; waited += reclaimPause {
		_, err := c.askOnce(ctx, probe)
		switch {
		case err == nil && waited > 0:
			return true, c.freshen(ctx)
		case err == nil:
			return false, nil
		case !errors.Is(err, errNoAnswer):
			return false, err
		case waited >= reclaimBudget && probe.cmd != CommandSerial:
			return false, ErrNotAnswering
		case waited >= reclaimBudget:
			c.hides = true
			return true, c.freshen(ctx)
		}
		if err := c.pause(ctx, reclaimPause); err != nil {
			return false, err
		}
	}
}

// A scan map of refreshLen bytes refreshByte, which a NEO refuses, refreshes its stale status: it caches the programming sequence.
// Source: reference yubikey-otp.md §1.7.
const (
	refreshByte = 0x63
	refreshLen  = 51
	neoMajor    = 3
)

// freshen makes a NEO show its present status.
func (c *reports) freshen(ctx context.Context) error {
	if c.status.Version.Major != neoMajor {
		return nil
	}
	err := c.send(ctx, CommandScanMap, bytes.Repeat([]byte{refreshByte}, refreshLen))
	if err == nil {
		err = c.settle(ctx)
	}
	if err != nil {
		return fmt.Errorf("refresh status: %w", err)
	}
	return nil
}
