package suite

import (
	"errors"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
)

func testStatus(r *rig) {
	s := r.open()
	st := s.Status()
	if st.Version.Major == 0 || st.ProgSeq != 0 || st.Configured(ykslot.Slot1) || st.Configured(ykslot.Slot2) {
		r.Errorf("got %+v, want a version, and an empty key's zeros", st)
	}
	again, err := s.ReadStatus(r.ctx)
	r.must(err)
	if again.Version != st.Version || again.ProgSeq != st.ProgSeq {
		r.Errorf("read again: got %+v, want %+v", again, st)
	}
}

func testSerial(r *rig) {
	s := r.open()
	serial, err := s.Serial(r.ctx)
	r.must(err)
	if r.Serial != 0 && serial != r.Serial {
		r.Errorf("got serial %d, want %d", serial, r.Serial)
	}
}

func testDeviceInfo(r *rig) {
	s := r.open()
	info, err := s.DeviceInfo(r.ctx)
	r.unsupported(err)
	r.must(err)
	if info.Version != s.Status().Version || r.Serial != 0 && info.Serial != r.Serial || info.USBSupported&ykslot.CapOTP == 0 {
		r.Errorf("got version %v, USB %v, want version %v, the serial of the target, and OTP", info.Version, info.USBSupported, s.Status().Version)
	}
}

// unsupported skips the case where this firmware lacks what it needs.
func (r *rig) unsupported(err error) {
	r.Helper()
	if un := (*ykslot.UnsupportedError)(nil); errors.As(err, &un) {
		r.Skip(un)
	}
}

// testProve: counters start at use 1, session 0 (reference yubikey-otp.md §4.1), and go up by one per touch.
func testProve(r *rig, slot ykslot.Slot) {
	s := r.open()
	c := r.program(s, slot, secret.Bytes{})
	if st := s.Status(); !st.Configured(slot) || st.Configured(slot.Other()) || st.ProgSeq != 1 {
		r.Errorf("after the write: %+v", st)
	}
	first := r.proves(slot, c)
	if first.UseCounter != 1 || first.SessionCounter != r.lost {
		r.Errorf("first OTP: %v, want use 1 session 0", first)
	}
	second := r.proves(slot, c)
	if second.UseCounter != 1 || second.SessionCounter != r.lost+1 {
		r.Errorf("second OTP: %v, want use 1 session 1", second)
	}
}

// testOverwrite: a write replaces key and counters.
func testOverwrite(r *rig) {
	s := r.open()
	r.program(s, ykslot.Slot1, secret.Bytes{})
	c := r.program(s, ykslot.Slot1, secret.Bytes{})
	if st := s.Status(); st.ProgSeq != 2 {
		r.Errorf("programming sequence %d after two writes, want 2", st.ProgSeq)
	}
	if first := r.proves(ykslot.Slot1, c); first.Order() != 1<<8+uint32(r.lost) {
		r.Errorf("first OTP: %v, want use 1 session 0", first)
	}
}

func testDelete(r *rig) {
	s := r.open()
	r.program(s, ykslot.Slot1, secret.Bytes{})
	r.program(s, ykslot.Slot2, secret.Bytes{})
	r.must(s.Delete(r.ctx, ykslot.Slot1, secret.Bytes{}))
	if st := s.Status(); st.Configured(ykslot.Slot1) || !st.Configured(ykslot.Slot2) || st.ProgSeq != 3 {
		r.Errorf("after deleting slot 1: %+v", st)
	}
	r.must(s.Delete(r.ctx, ykslot.Slot2, secret.Bytes{}))
	if st := s.Status(); st.Configured(ykslot.Slot2) || st.ProgSeq != 0 {
		r.Errorf("after deleting slot 2: %+v", st)
	}
}

func testSwap(r *rig) {
	s := r.open()
	one := r.program(s, ykslot.Slot1, secret.Bytes{})
	two := r.program(s, ykslot.Slot2, secret.Bytes{})
	err := s.Swap(r.ctx)
	r.unsupported(err)
	r.must(err)
	r.proves(ykslot.Slot1, two)
	r.proves(ykslot.Slot2, one)
}

// testHiddenSerial: without SERIAL_API_VISIBLE in any slot the key keeps silent, and the session still works.
func testHiddenSerial(r *rig) {
	s := r.open()
	cfg := r.config(s, r.draw(), secret.Bytes{})
	cfg.Ext &^= ykslot.SerialAPIVisible
	r.must(s.Write(r.ctx, ykslot.Slot1, cfg, secret.Bytes{}))
	if _, err := s.Serial(r.ctx); !errors.Is(err, ykslot.ErrSerialHidden) {
		r.Errorf("got %v, want ErrSerialHidden", err)
	}
	r.program(s, ykslot.Slot2, secret.Bytes{})
	if _, err := s.Serial(r.ctx); err != nil {
		r.Errorf("with the flag in slot 2: %v", err)
	}
}
