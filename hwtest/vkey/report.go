package vkey

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// The report protocol, reference yubikey-otp.md §1.5.
const (
	dataLen    = 7  // data bytes of a report; the flag byte follows
	payloadLen = 64 // payload of a frame
	frameLen   = 70 // payload ‖ command ‖ CRC LE [2] ‖ zero [3]
	lastPart   = 9  // the part that completes a frame

	flagWrite    = 0x80 // host: a part follows; key: not consumed yet
	flagResponse = 0x40 // a part of the response, or its end marker
	flagTouch    = 0x20 // the key waits for a touch
	seqMask      = 0x1f // part number, or seconds left
)

// Status bytes, §1.5.
const (
	statusValid = 0x01 // slot 1 holds a configuration; slot 2: one bit further left
	statusTouch = 0x04 // slot 1 needs a touch; slot 2: one bit further left
	statusLED   = 0x10
	// statusHigh stands in the high byte of the touch level, which hosts must ignore: 05 was seen on real keys.
	statusHigh = 0x05
)

// payload is the 64 bytes of a frame before the command.
type payload = [payloadLen]byte

// Get answers GET_REPORT: a response part, a wait for touch, or the status. Errors: usbhid.ErrGone, ErrStall, ErrNoOTP.
func (k *Key) Get() (usbhid.Report, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.get()
}

// Set takes SET_REPORT: one part of a frame, or a reset. Errors as Get.
func (k *Key) Set(r usbhid.Report) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set(r)
}

func (k *Key) get() (usbhid.Report, error) {
	if err := k.reachable(); err != nil {
		return usbhid.Report{}, fmt.Errorf("get report: %w", err)
	}
	k.gets++
	fault := k.nextFault(false)
	if fault.stall {
		return usbhid.Report{}, fmt.Errorf("get report: %w", ErrStall)
	}
	r := k.answer()
	if r[dataLen] == 0 {
		k.settle()
	}
	if fault.unplug {
		k.unplug()
	}
	return r, nil
}

func (k *Key) set(r usbhid.Report) error {
	if err := k.reachable(); err != nil {
		return fmt.Errorf("set report: %w", err)
	}
	k.sets++
	fault := k.nextFault(true)
	if fault.stall {
		return fmt.Errorf("set report: %w", ErrStall)
	}
	if k.settle() {
		return fmt.Errorf("set report: %w", usbhid.ErrGone)
	}
	if !fault.lose {
		k.take(r)
	}
	if fault.unplug {
		k.unplug()
	}
	return nil
}

// answer is the report of the moment, in the order of what holds the key up.
func (k *Key) answer() usbhid.Report {
	if k.busy() {
		k.busyReads = max(0, k.busyReads-1)
		r := k.before
		r[dataLen] = flagWrite
		return r
	}
	if w := k.waiting(); w != nil {
		w.reads++
		r := k.status()
		r[dataLen] = flagTouch | w.secondsLeft(k.opts.Now())
		return r
	}
	if len(k.response) > 0 {
		r := k.response[0]
		k.response = k.response[1:]
		return r
	}
	if k.stale > 0 {
		k.stale--
		return k.before
	}
	return k.status()
}

// take is §9.3: part 0 clears the buffer, part 9 runs the frame, a number above 9 resets. A part that comes while flag
// 80 is up, or sooner than the key can latch it, is lost.
func (k *Key) take(r usbhid.Report) {
	flag := r[dataLen]
	if flag&flagWrite == 0 {
		return
	}
	n := int(flag & seqMask)
	if n > lastPart {
		k.response, k.wait = nil, nil
		return
	}
	now := k.opts.Now()
	soon := !k.lastPart.IsZero() && now.Sub(k.lastPart) < k.opts.Latch
	if k.busy() || soon {
		return
	}
	k.lastPart = now
	if n == 0 {
		k.rx = [frameLen]byte{}
	}
	copy(k.rx[n*dataLen:], r[:dataLen])
	if n < lastPart {
		return
	}
	if crc16(k.rx[:payloadLen]) != binary.LittleEndian.Uint16(k.rx[payloadLen+1:]) {
		return
	}
	k.run(k.rx[payloadLen], (*payload)(k.rx[:payloadLen]))
}

func (k *Key) busy() bool { return k.busyReads > 0 || k.opts.Now().Before(k.busyUntil) }

// status is 00 ‖ version[3] ‖ ProgSeq ‖ touch level LE[2] ‖ flag 00, as the OTP interface shows it.
func (k *Key) status() usbhid.Report {
	v := k.profile.Version
	seq := k.progSeq
	if k.profile.Quirks&StaleSequence != 0 {
		seq = k.shownSeq
	}
	return usbhid.Report{0, v.Major, v.Minor, v.Build, seq, k.touchLevel(), statusHigh, 0}
}

// touchLevel is the low byte of the touch level.
func (k *Key) touchLevel() byte {
	var level byte
	for i := range k.slots {
		s := &k.slots[i]
		if s.configured() {
			level |= statusValid << i
		}
		if s.needsTouch() && k.profile.Has(TouchBits) {
			level |= statusTouch << i
		}
	}
	if k.extFlag(extLEDInverted) {
		level |= statusLED
	}
	return level
}

// respond queues data ‖ complemented CRC LE in parts of 7 with the flags 40, 41 …, then the end marker 40 (§1.5).
func (k *Key) respond(data []byte) {
	data = appendCRC(data)
	for n := 0; n*dataLen < len(data); n++ {
		var r usbhid.Report
		copy(r[:dataLen], data[n*dataLen:])
		r[dataLen] = flagResponse | byte(n)
		k.response = append(k.response, r)
	}
	k.response = append(k.response, usbhid.Report{dataLen: flagResponse})
}

// counted counts an accepted write: ProgSeq moves on, or is 0 when both slots are now empty (§1.5); the step after 255
// is 1, because 0 means empty. A write of device info moves it on an empty key, too: yubikit has no other way to see it.
func (k *Key) counted(cmd byte) {
	switch {
	case !k.anyConfigured() && cmd != cmdWriteInfo:
		k.progSeq = 0
	case k.progSeq == 0xff:
		k.progSeq = 1
	default:
		k.progSeq++
	}
}

// pause keeps the OTP interface busy after a write; before is the status that it goes on showing.
func (k *Key) pause(before usbhid.Report) {
	k.shownSeq = k.progSeq
	k.before = before
	pace := k.opts.Pace
	if k.faults.SlowWrite != (Pace{}) {
		pace = k.faults.SlowWrite
	}
	k.busyReads = pace.Reads
	k.busyUntil = time.Time{}
	if pace.Time > 0 {
		k.busyUntil = k.opts.Now().Add(pace.Time)
	}
	k.stale = k.faults.StaleStatus
}

// reachable says why no report can pass, if none can.
func (k *Key) reachable() error {
	if !k.plugged {
		return usbhid.ErrGone
	}
	if Interfaces(k.profile.PID)&OTP == 0 {
		return ErrNoOTP
	}
	return nil
}
