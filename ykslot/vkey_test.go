package ykslot_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

var (
	_ ykslot.FeatureReporter = usbhid.Device(nil)
	_ ykslot.InputReader     = usbhid.Device(nil)
)

const serial = 7654321

// rig is a session on a virtual key whose clock only moves by the session's pauses.
type rig struct {
	*ykslot.Session
	key  *vkey.Key
	conn *vkey.Conn
	now  time.Time
}

func openRig(t *testing.T, p vkey.Profile, o vkey.Options) *rig {
	t.Helper()
	r := &rig{now: time.Unix(1e9, 0)}
	o.Now = func() time.Time { return r.now }
	o.Latch = 400 * time.Microsecond // §1.5: a part sent sooner is lost
	r.key = vkey.New(p, o)
	r.reopen(t)
	return r
}

func (r *rig) reopen(t *testing.T) {
	t.Helper()
	var err error
	if r.conn != nil {
		_ = r.conn.Close()
	}
	if r.conn, err = r.key.Open(); err != nil {
		t.Fatal(err)
	}
	r.Session, err = ykslot.Open(t.Context(), r.conn, func(ctx context.Context, d time.Duration) error {
		r.now = r.now.Add(d)
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
}

func bytesOf(n int, b byte) secret.Bytes {
	s := make([]byte, n)
	for i := range s {
		s[i] = b
	}
	return secret.New(s)
}

var none secret.Bytes

// otpConfig is a Yubico OTP whose key and IDs are made of b.
func otpConfig(t *testing.T, v ykslot.Version, b byte, code secret.Bytes) ykslot.Config {
	t.Helper()
	c, err := ykslot.YubicoOTP{PublicID: []byte{0xff, 0, 0, 0, 0, b}, PrivateID: bytesOf(6, b), Key: bytesOf(16, b), AccessCode: code, Flags: ykslot.TypingFlags(v)}.Config()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// press touches the slot and opens what it types with the key of otpConfig(b).
func (r *rig) press(t *testing.T, slot int, b byte) yubiotp.Verdict {
	t.Helper()
	if !r.key.Touch(slot) {
		t.Fatalf("slot %d does not react", slot)
	}
	typed, err := ykslot.ReadPress(t.Context(), r.conn)
	if err != nil {
		t.Fatal(err)
	}
	id, block, err := yubiotp.Split(typed)
	if err != nil || len(id) != 6 {
		t.Fatalf("public ID of %d bytes, %v", len(id), err)
	}
	c, err := yubiotp.NewCipher(bytesOf(16, b), bytesOf(6, b))
	if err != nil {
		t.Fatal(err)
	}
	_, verdict := c.Open(block)
	return verdict
}

func (r *rig) holds(t *testing.T, what string, slot int, b byte) {
	t.Helper()
	if !r.key.Holds(slot, bytesOf(16, b).Reveal()) || !r.key.Holds(slot, bytesOf(6, b).Reveal()) {
		t.Errorf("%s: slot %d does not hold %02x", what, slot, b)
	}
	if got := r.Status().Configured(ykslot.Slot(slot)); !got {
		t.Errorf("%s: status says that slot %d is empty", what, slot)
	}
}

// want fails unless err is a rejection (or none, when rejected is false).
func want(t *testing.T, what string, err error, rejected bool, cause ykslot.Cause) {
	t.Helper()
	var rej *ykslot.RejectedError
	switch {
	case !rejected && err != nil:
		t.Fatalf("%s: %v", what, err)
	case rejected && !errors.As(err, &rej):
		t.Fatalf("%s: %v, want a rejection", what, err)
	case rejected:
		for _, c := range rej.Causes {
			if c == cause {
				return
			}
		}
		t.Errorf("%s: cause %v is not among %v", what, cause, rej.Causes)
	}
}

func TestEveryProfile(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		t.Run(p.Version.String(), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			r := openRig(t, p, vkey.Options{Serial: serial, Pace: vkey.Pace{Time: 60 * time.Millisecond}})
			v := r.Status().Version
			if v.String() != p.Version.String() || r.Status().ProgSeq != 0 {
				t.Fatalf("%+v", r.Status())
			}
			if n, err := r.Serial(ctx); err != nil || n != serial {
				t.Fatalf("serial %d, %v", n, err)
			}

			want(t, "write 1", r.Write(ctx, ykslot.Slot1, otpConfig(t, v, 1, none), none), false, 0)
			want(t, "write 2", r.Write(ctx, ykslot.Slot2, otpConfig(t, v, 2, none), none), false, 0)
			r.holds(t, "write", 1, 1)
			r.holds(t, "write", 2, 2)
			if got := r.press(t, 1, 1); got != yubiotp.OK {
				t.Errorf("press 1: %v", got)
			}
			if n, err := r.Serial(ctx); err != nil || n != serial {
				t.Errorf("serial after writing %d, %v", n, err)
			}

			want(t, "swap", r.Swap(ctx), false, 0)
			r.holds(t, "swap", 1, 2)
			r.holds(t, "swap", 2, 1)
			if got := r.press(t, 2, 1); got != yubiotp.OK {
				t.Errorf("press 2: %v", got)
			}
			r.accessCode(t, v)

			want(t, "delete 2", r.Delete(ctx, ykslot.Slot2, none), false, 0)
			want(t, "delete 1", r.Delete(ctx, ykslot.Slot1, none), false, 0)
			if r.Status().Configured(ykslot.Slot1) || r.Status().ProgSeq != 0 {
				t.Errorf("after the last delete: %+v", r.Status())
			}
			want(t, "delete on an empty key", r.Delete(ctx, ykslot.Slot1, none), true, ykslot.CauseEmpty)
			want(t, "update of an empty slot", r.Update(ctx, ykslot.Slot1, ykslot.TypingFlags(v), none, none), true, ykslot.CauseEmpty)
		})
	}
}

// accessCode sets, uses, changes and removes the access code of slot 2, which holds 1, and leaves slot 2 without.
func (r *rig) accessCode(t *testing.T, v ykslot.Version) {
	t.Helper()
	ctx, flags := t.Context(), ykslot.TypingFlags(v)
	a, b := bytesOf(6, 0xa), bytesOf(6, 0xb)
	set := func(code, current secret.Bytes) error {
		err := r.Update(ctx, ykslot.Slot2, flags, code, current)
		var unsupported *ykslot.UnsupportedError
		if errors.As(err, &unsupported) && v == (ykslot.Version{Major: 4, Minor: 3, Patch: 5}) {
			return r.Write(ctx, ykslot.Slot2, otpConfig(t, v, 1, code), current) // the quirk: write anew
		}
		return err
	}
	want(t, "set", set(a, none), false, 0)
	if !r.key.HoldsAccessCode(2, [6]byte(a.Reveal())) {
		t.Error("access code is not set")
	}
	r.holds(t, "set access code", 2, 1)
	want(t, "write without code", r.Write(ctx, ykslot.Slot2, otpConfig(t, v, 3, none), none), true, ykslot.CauseNoAccessCode)
	want(t, "write with wrong code", r.Write(ctx, ykslot.Slot2, otpConfig(t, v, 3, none), b), true, ykslot.CauseAccessCode)
	want(t, "delete with wrong code", r.Delete(ctx, ykslot.Slot2, b), true, ykslot.CauseAccessCode)
	want(t, "swap of a locked slot", r.Swap(ctx), true, ykslot.CauseSwapAccessCode)
	r.holds(t, "refusals", 2, 1)
	want(t, "write keeping the code", r.Write(ctx, ykslot.Slot2, otpConfig(t, v, 1, a), a), false, 0)
	want(t, "change", set(b, a), false, 0)
	want(t, "old code", r.Delete(ctx, ykslot.Slot2, a), true, ykslot.CauseAccessCode)
	want(t, "remove", set(none, b), false, 0)
	if r.key.HoldsAccessCode(2, [6]byte(b.Reveal())) {
		t.Error("access code is still set")
	}
	if got := r.press(t, 2, 1); got != yubiotp.OK {
		t.Errorf("press after access codes: %v", got)
	}
}

func TestDeviceInfoOfVirtualKey(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		r := openRig(t, p, vkey.Options{Serial: serial})
		d, err := r.DeviceInfo(t.Context())
		if !r.Status().Version.AtLeast(4, 1, 0) {
			if err == nil {
				t.Errorf("%v gave device information", p.Version)
			}
			continue
		}
		if err != nil || d.Serial != serial || d.Version != r.Status().Version || (p.Version.Major > 4 && byte(d.FormFactor) != p.FormFactor) || d.USBSupported&ykslot.CapOTP == 0 || d.Locked {
			t.Errorf("%v: %+v, %v", p.Version, d, err)
		}
	}
}

// TestTransfers: no more than yubikit's 10 GET and 8 SET per write, 4 GET and 2 SET per swap (reference §9.3).
func TestTransfers(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{Serial: serial})
	v := r.Status().Version
	cfg := otpConfig(t, v, 1, none)
	for _, tc := range []struct {
		name       string
		call       func() error
		gets, sets int
	}{
		{"write", func() error { return r.Write(t.Context(), ykslot.Slot1, cfg, none) }, 9, 8},
		{"write with a code", func() error {
			return r.Write(t.Context(), ykslot.Slot2, otpConfig(t, v, 1, bytesOf(6, 9)), bytesOf(6, 9))
		}, 10, 9},
		{"delete", func() error { return r.Delete(t.Context(), ykslot.Slot2, bytesOf(6, 9)) }, 5, 4},
		{"swap", func() error { return r.Swap(t.Context()) }, 3, 2},
		{"serial", func() error { _, err := r.Serial(t.Context()); return err }, 3, 3},
	} {
		r.key.ResetTransfers()
		if err := tc.call(); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if gets, sets := r.key.Transfers(); gets != tc.gets || sets != tc.sets {
			t.Errorf("%s: %d GET %d SET, want %d and %d", tc.name, gets, sets, tc.gets, tc.sets)
		}
	}
}

// TestFaultSweep: whatever single report fails, an error without ErrUnsettled or a rejection means that the slot is as
// before, no error means that it is written, and the session works again.
func TestFaultSweep(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(n int) vkey.Faults{
		"stall":  func(n int) vkey.Faults { return vkey.Faults{StallReport: n} },
		"lose":   func(n int) vkey.Faults { return vkey.Faults{LoseSet: n} },
		"unplug": func(n int) vkey.Faults { return vkey.Faults{UnplugAfter: n} },
	}
	for name, fault := range kinds {
		for n := 1; n <= 18; n++ {
			r := openRig(t, vkey.YubiKey543, vkey.Options{Serial: serial})
			v := r.Status().Version
			want(t, "first write", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 1, none), none), false, 0)
			r.key.SetFaults(fault(n))
			err := r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 2, none), none)
			written := r.key.Holds(1, bytesOf(16, 2).Reveal())
			switch {
			case err == nil && !written:
				t.Errorf("%s %d: no error, but nothing written", name, n)
			case err != nil && !errors.Is(err, ykslot.ErrUnsettled) && written:
				t.Errorf("%s %d: written, but %v", name, n, err)
			}
			r.key.SetFaults(vkey.Faults{})
			if name == "unplug" {
				r.key.Plug()
				r.reopen(t)
			}
			want(t, "write after the fault", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 3, none), none), false, 0)
			r.holds(t, "after the fault", 1, 3)
		}
	}
}

// otherWriter reads the status through, and once, before the n-th report of the session, lets another program write slot 2.
type otherWriter struct {
	*vkey.Conn
	n     int
	write func()
}

func (o *otherWriter) next() {
	if o.n--; o.n == 0 {
		o.write()
	}
}

func (o *otherWriter) GetFeature(ctx context.Context) (usbhid.Report, error) {
	o.next()
	return o.Conn.GetFeature(ctx)
}

func (o *otherWriter) SetFeature(ctx context.Context, r usbhid.Report) error {
	o.next()
	return o.Conn.SetFeature(ctx, r)
}

// TestOtherWriterSweep: another program, which knows no lock, writes the other slot before any one report of a write of
// ours. Whatever we then say of our slot is true.
func TestOtherWriterSweep(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 20; n++ {
		k := vkey.New(vkey.YubiKey543, vkey.Options{})
		conn, err := k.Open()
		if err != nil {
			t.Fatal(err)
		}
		other := &otherWriter{Conn: conn}
		noWait := func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
		s, err := ykslot.Open(t.Context(), other, noWait)
		if err != nil {
			t.Fatal(err)
		}
		v := s.Status().Version
		other.n, other.write = n, func() {
			theirs, err := ykslot.Open(t.Context(), conn, noWait)
			if err == nil {
				err = theirs.Write(t.Context(), ykslot.Slot2, otpConfig(t, v, 9, none), none)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		err = s.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 1, none), none)
		if written := k.Holds(1, bytesOf(16, 1).Reveal()); written != (err == nil) && !errors.Is(err, ykslot.ErrUnsettled) {
			t.Errorf("before report %d: the slot is written: %v, but we say %v", n, written, err)
		}
	}
}

func TestSlowAndStale(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]vkey.Faults{
		"slow flash": {SlowWrite: vkey.Pace{Time: 920 * time.Millisecond}},
		"stale":      {StaleStatus: 3},
	} {
		r := openRig(t, vkey.YubiKey543, vkey.Options{})
		r.key.SetFaults(f)
		want(t, name, r.Write(t.Context(), ykslot.Slot1, otpConfig(t, r.Status().Version, 1, none), none), false, 0)
	}
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	r.key.SetFaults(vkey.Faults{SlowWrite: vkey.Pace{Time: time.Minute}})
	err := r.Write(t.Context(), ykslot.Slot1, otpConfig(t, r.Status().Version, 1, none), none)
	if !errors.Is(err, ykslot.ErrUnsettled) || !errors.Is(err, ykslot.ErrNotAnswering) {
		t.Errorf("a key that stays busy: %v", err)
	}
}

func TestHiddenSerialOfVirtualKey(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{Serial: serial, HideSerial: true})
	start := r.now
	if _, err := r.Serial(t.Context()); !errors.Is(err, ykslot.ErrSerialHidden) {
		t.Errorf("%v", err)
	}
	if d := r.now.Sub(start); d > 100*time.Millisecond {
		t.Errorf("took %v", d)
	}
	want(t, "write afterwards", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, r.Status().Version, 1, none), none), false, 0)
}

// TestProtectedSlot: PROTECT_CFG2 in slot 1 forbids writing slot 2.
func TestProtectedSlot(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey571, vkey.Options{})
	cfg := otpConfig(t, r.Status().Version, 1, none)
	cfg.Ticket |= ykslot.ProtectCfg2
	want(t, "write 1", r.Write(t.Context(), ykslot.Slot1, cfg, none), false, 0)
	cfg.Ticket &^= ykslot.ProtectCfg2
	want(t, "write 2", r.Write(t.Context(), ykslot.Slot2, cfg, none), true, ykslot.CauseProtected)
}

// TestProtectingSlot: PROTECT_CFG2 in slot 2 keeps slot 1 from having it, and from nothing else.
func TestProtectingSlot(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey571, vkey.Options{})
	cfg := otpConfig(t, r.Status().Version, 1, none)
	cfg.Ticket |= ykslot.ProtectCfg2
	want(t, "write 2", r.Write(t.Context(), ykslot.Slot2, cfg, none), false, 0)
	want(t, "write 1", r.Write(t.Context(), ykslot.Slot1, cfg, none), true, ykslot.CauseProtectFlag)
	want(t, "write 1 with a code", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, r.Status().Version, 1, bytesOf(6, 1)), none), false, 0)
	err := r.Write(t.Context(), ykslot.Slot1, otpConfig(t, r.Status().Version, 1, none), none)
	var rejected *ykslot.RejectedError
	if !errors.As(err, &rejected) || slices.Contains(rejected.Causes, ykslot.CauseProtectFlag) {
		t.Errorf("write 1 without the code: %v", err)
	}
}

func BenchmarkWrite(b *testing.B) {
	k := vkey.New(vkey.YubiKey543, vkey.Options{})
	conn, err := k.Open()
	if err != nil {
		b.Fatal(err)
	}
	s, err := ykslot.Open(b.Context(), conn, func(context.Context, time.Duration) error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	c, err := ykslot.YubicoOTP{PublicID: make([]byte, 6), PrivateID: bytesOf(6, 1), Key: bytesOf(16, 1), Flags: ykslot.TypingFlags(s.Status().Version)}.Config()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Write(b.Context(), ykslot.Slot1, c, none); err != nil {
			b.Fatal(err)
		}
	}
	gets, sets := k.Transfers()
	b.ReportMetric(float64(gets-1)/float64(b.N), "GET/op")
	b.ReportMetric(float64(sets)/float64(b.N), "SET/op")
}
