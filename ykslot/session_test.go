package ykslot

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// playback is a key that follows a script of lines "SET <report>" and "GET <report>", or "GET error".
type playback struct {
	t      testing.TB
	script []string
	waited time.Duration
	onSet  func(n int) // called before the n-th SET, from 1
	sets   int
}

var errTransport = errors.New("transport")

func newPlayback(t testing.TB, script string) *playback {
	p := &playback{t: t}
	for line := range strings.SplitSeq(script, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			p.script = append(p.script, line)
		}
	}
	return p
}

func (p *playback) next(op string) string {
	p.t.Helper()
	if len(p.script) == 0 {
		p.t.Fatalf("%s after the end of the script", op)
	}
	line := p.script[0]
	p.script = p.script[1:]
	if !strings.HasPrefix(line, op[:3]) {
		p.t.Fatalf("got %s, the script has %s", op, line)
	}
	return strings.ReplaceAll(line[4:], " ", "")
}

func (p *playback) GetFeature(ctx context.Context) (Report, error) {
	p.t.Helper()
	if ctx.Err() != nil {
		return Report{}, ctx.Err()
	}
	line := p.next("GET")
	if line == "error" {
		return Report{}, errTransport
	}
	return Report(unhex(p.t, line)), nil
}

func (p *playback) SetFeature(ctx context.Context, r Report) error {
	p.t.Helper()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.sets++
	if p.onSet != nil {
		p.onSet(p.sets)
	}
	got := hex.EncodeToString(r[:])
	want := p.next("SET " + got)
	if want == "error" {
		return errTransport
	}
	if got != want {
		p.t.Fatalf("SET %s, the script has %s", got, want)
	}
	return nil
}

func (p *playback) pause(ctx context.Context, d time.Duration) error {
	p.waited += d
	return ctx.Err()
}

// end fails on what was not consumed.
func (p *playback) end() {
	p.t.Helper()
	if len(p.script) > 0 {
		p.t.Errorf("%d lines of the script are left, first %s", len(p.script), p.script[0])
	}
}

const (
	idle543 = "GET 00 05 04 03 01 05 00 00\n"
	idle243 = "GET 00 02 04 03 01 01 00 00\n"
	setPart = "SET 00 00 00 00 00 00 00 80\n"
	askSN   = "SET 00 10 6b 5b 00 00 00 89\n"
	reset   = "SET 00 00 00 00 00 00 00 8f\n"
)

// TestSerialTrace is the trace of reference yubikey-otp.md §1.5 with the reads before each part.
func TestSerialTrace(t *testing.T) {
	t.Parallel()
	p := newPlayback(t, idle543+setPart+idle543+askSN+
		"GET 00 74 cb b1 67 95 00 40\nGET 00 00 00 00 00 00 00 40\n"+reset)
	s, err := Open(t.Context(), p, p.pause)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Serial(t.Context()); err != nil || n != 7654321 {
		t.Errorf("serial %d, %v", n, err)
	}
	p.end()
}

func TestSerialBusyThenData(t *testing.T) {
	t.Parallel()
	p := newPlayback(t, idle543+setPart+"GET 00 00 00 00 00 00 00 80\n"+idle543+askSN+
		"GET 00 00 00 00 00 00 00 9f\n"+idle543+"GET 00 74 cb b1 67 95 00 40\nGET 00 00 00 00 00 00 00 40\n"+reset)
	s, _ := Open(t.Context(), p, p.pause)
	if n, err := s.Serial(t.Context()); err != nil || n != 7654321 {
		t.Errorf("serial %d, %v", n, err)
	}
	p.end()
}

// answered is the question of a command and a key's whole answer, in a script.
func answered(cmd Command, payload, answer []byte) string {
	var full [PayloadLen]byte
	copy(full[:], payload)
	sent := Reports(cmd, &full)
	script := "SET " + joinReports(sent[:1]) + "\n" + idle543 + "SET " + joinReports(sent[1:]) + "\n"
	for _, r := range responseReports(withCRC(answer)) {
		script += "GET " + joinReports([]Report{r}) + "\n"
	}
	return script + reset
}

// TestSerialHidden: silence is believed because the key answers another question.
func TestSerialHidden(t *testing.T) {
	t.Parallel()
	p := newPlayback(t, idle543+setPart+idle543+askSN+strings.Repeat(idle543, 7)+answered(CommandDeviceInfo, nil, []byte{0}))
	s, _ := Open(t.Context(), p, p.pause)
	if _, err := s.Serial(t.Context()); !errors.Is(err, ErrSerialHidden) {
		t.Errorf("%v", err)
	}
	if p.waited > 100*time.Millisecond {
		t.Errorf("waited %v for a hidden serial", p.waited)
	}
	p.end()
}

func TestSerialRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"wrong CRC":      "GET 00 74 cb b1 67 94 00 40\nGET 00 00 00 00 00 00 00 40\n" + reset,
		"part 1 first":   "GET 00 74 cb b1 67 95 00 41\n" + reset,
		"two parts":      "GET 00 74 cb b1 67 95 00 40\nGET 00 00 00 00 00 00 00 41\nGET 00 00 00 00 00 00 00 40\n" + reset,
		"no end marker":  "GET 00 74 cb b1 67 95 00 40\n" + idle543,
		"transport dies": "GET 00 74 cb b1 67 95 00 40\nGET error\n" + reset,
	} {
		p := newPlayback(t, idle543+setPart+idle543+askSN+answer)
		s, _ := Open(t.Context(), p, p.pause)
		if _, err := s.Serial(t.Context()); !errors.Is(err, ErrProtocol) && !errors.Is(err, errTransport) {
			t.Errorf("%s: %v", name, err)
		}
		p.end()
	}
}

// TestDeviceInfoTwoPages: page 1 is asked for because tag 10 of page 0 announces it, page 2 is not.
func TestDeviceInfoTwoPages(t *testing.T) {
	t.Parallel()
	script := idle543
	for i, body := range []string{"0204000000071001 01", "13024142"} {
		page := unhex(t, strings.ReplaceAll(body, " ", ""))
		if i > 0 {
			script += idle543
		}
		script += answered(CommandDeviceInfo, []byte{byte(i)}, append([]byte{byte(len(page))}, page...))
	}
	p := newPlayback(t, script)
	s, _ := Open(t.Context(), p, p.pause)
	d, err := s.DeviceInfo(t.Context())
	if err != nil || d.Serial != 7 || d.PartNumber != "AB" || d.Version != (Version{5, 4, 3}) {
		t.Errorf("%+v, %v", d, err)
	}
	p.end()
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, script string
		want         Version
		is           error
	}{
		{"at rest", idle243, Version{2, 4, 3}, nil},
		{"busy first", "GET 00 00 00 00 00 00 00 9f\n" + idle543, Version{5, 4, 3}, nil},
		{"reclaimed", strings.Repeat("GET 00 00 00 00 00 00 00 00\n", 40) + idle543, Version{5, 4, 3}, nil},
		{"unread answer", "GET 00 74 cb b1 67 95 00 40\n" + reset + idle543, Version{5, 4, 3}, nil},
		{"waiting for a touch", "GET 00 05 04 03 01 05 00 2e\n" + reset + idle543, Version{5, 4, 3}, nil},
		{"dead", strings.Repeat("GET 00 00 00 00 00 00 00 00\n", 131), Version{}, ErrNotAnswering},
		{"unplugged", "GET error\n", Version{}, errTransport},
	} {
		p := newPlayback(t, tc.script)
		s, err := Open(t.Context(), p, p.pause)
		if !errors.Is(err, tc.is) || err == nil && s.Status().Version != tc.want {
			t.Errorf("%s: %v", tc.name, err)
		}
		p.end()
	}
}

// TestAsleepInSession: reports without a version are waited for in an open session as long as at its opening.
func TestAsleepInSession(t *testing.T) {
	t.Parallel()
	p := newPlayback(t, idle543+strings.Repeat("GET 00 00 00 00 00 00 00 00\n", 100)+idle543)
	s, _ := Open(t.Context(), p, p.pause)
	if _, err := s.ReadStatus(t.Context()); err != nil {
		t.Errorf("%v", err)
	}
	p.end()
}

// TestOpenNEO: a NEO's status is refreshed by a scan map it refuses, in 9 reports (reference yubikey-otp.md §1.7).
func TestOpenNEO(t *testing.T) {
	t.Parallel()
	stale, fresh := "GET 00 03 04 03 00 00 00 00\n", "GET 00 03 04 03 04 05 00 00\n"
	script := stale
	for i := range 7 {
		script += "SET 63636363636363 8" + string(rune('0'+i)) + "\n" + stale
	}
	p := newPlayback(t, script+"SET 63630000000000 87\n"+stale+"SET 00 12 53 ec 00 00 00 89\n"+fresh)
	crc := crc16(append([]byte(strings.Repeat("c", 51)), make([]byte, 13)...))
	p.script[len(p.script)-2] = "SET 0012" + hex.EncodeToString([]byte{byte(crc), byte(crc >> 8)}) + "00000089"
	s, err := Open(t.Context(), p, p.pause)
	if err != nil || s.Status().ProgSeq != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	if p.sets != 9 {
		t.Errorf("%d SET", p.sets)
	}
	p.end()
}

// TestCancelInFrame: the half-sent frame is dropped by a reset report, and the error is the context's.
func TestCancelInFrame(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := newPlayback(t, idle543+setPart+reset+idle543)
	p.onSet = func(int) { cancel() }
	s, _ := Open(t.Context(), p, p.pause)
	if _, err := s.Serial(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnsettled) {
		t.Errorf("%v", err)
	}
	if _, err := s.ReadStatus(t.Context()); err != nil {
		t.Error(err)
	}
	p.end()
}

// TestCancelAfterFrame: once the last part is out, the outcome is unknown and nothing is reset.
func TestCancelAfterFrame(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := newPlayback(t, idle543+idle543+setPart+idle543+"SET 00 06 6b 5b 00 00 00 89\n")
	p.onSet = func(n int) {
		if n == 2 {
			cancel()
		}
	}
	s, _ := Open(t.Context(), p, p.pause)
	if err := s.Swap(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrUnsettled) {
		t.Errorf("%v", err)
	}
	p.end()
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                string
		before, after       uint8
		touchBefore, touchA uint16
		want                bool
	}{
		{"one up", 3, 4, 1, 1, true},
		{"first", 0, 1, 0, 1, true},
		{"unchanged", 3, 3, 1, 1, false},
		{"two up", 3, 5, 1, 1, false},
		{"last deleted", 3, 0, 1, 0x0504, true},
		{"zero, but a slot is set", 3, 0, 1, 2, false},
		{"empty deleted", 0, 0, 0, 0, false},
		{"255 then 0", 255, 0, 1, 1, true},
		{"255 then 1", 255, 1, 1, 1, true},
		{"255 unchanged", 255, 255, 1, 1, false},
	} {
		if got := Accepted(Status{ProgSeq: tc.before, Touch: tc.touchBefore}, Status{ProgSeq: tc.after, Touch: tc.touchA}); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

// TestOtherWriter: another program writes between our reading of the status and our verdict. A sequence that moved by more
// than one does not say whose write the slot holds, so it is neither success nor refusal.
func TestOtherWriter(t *testing.T) {
	t.Parallel()
	after := "GET 00 05 04 03 03 05 00 00\n"
	p := newPlayback(t, idle543+idle543+setPart+idle543+"SET 00 06 6b 5b 00 00 00 89\n"+strings.Repeat(after, 8))
	s, _ := Open(t.Context(), p, p.pause)
	err := s.Swap(t.Context())
	var rejected *RejectedError
	if !errors.Is(err, ErrUnsettled) || errors.As(err, &rejected) {
		t.Errorf("%v", err)
	}
	p.end()
}

func TestRejectedCauses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		op   op
		slot Slot
		st   Status
		code bool
		want []Cause
	}{
		{"write slot 1 without code", opWrite, Slot1, Status{Touch: 1}, false, []Cause{CauseNoAccessCode, CauseLostReport}},
		{"write slot 2 beside slot 1", opWrite, Slot2, Status{Touch: 1}, true, []Cause{CauseAccessCode, CauseProtected, CauseLostReport}},
		{"write slot 1 beside slot 2", opWrite, Slot1, Status{Touch: 3}, true, []Cause{CauseAccessCode, CauseLostReport}},
		{"update", opUpdate, Slot1, Status{Touch: 1}, true, []Cause{CauseAccessCode, CauseNotUpdatable, CauseLostReport}},
		{"delete empty", opDelete, Slot1, Status{}, false, []Cause{CauseNoAccessCode, CauseEmpty, CauseLostReport}},
		{"swap", opSwap, 0, Status{Touch: 3}, false, []Cause{CauseNotUpdatable, CauseSwapAccessCode, CauseLostReport}},
	} {
		got := newRejected(tc.op, tc.slot, tc.st, tc.code, false)
		if len(got.Causes) != len(tc.want) {
			t.Errorf("%s: %v", tc.name, got)
			continue
		}
		for i := range tc.want {
			if got.Causes[i] != tc.want[i] {
				t.Errorf("%s: %v", tc.name, got)
			}
		}
		if !strings.Contains(got.Error(), tc.want[0].String()) {
			t.Errorf("%s: message %q", tc.name, got)
		}
	}
	for i, row := range causes {
		if int(row.cause) != i {
			t.Errorf("row %d is cause %d", i, row.cause)
		}
	}
}

// TestRefusedBeforeSending: nothing reaches the key.
func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	none := secret.Bytes{}
	code := secret.New(make([]byte, AccessCodeLen))
	code.Reveal()[0] = 1
	good := Config{Fixed: []byte{1}, UID: secret.New(make([]byte, UIDLen)), Key: secret.New(make([]byte, KeyLen))}
	led := good
	led.Ext = SerialBtnVisible
	for _, tc := range []struct {
		name, status string
		call         func(*Session) error
		unsupported  bool
	}{
		{"flag of old firmware", idle543, func(s *Session) error { return s.Write(t.Context(), Slot1, led, none) }, true},
		{"no such slot", idle543, func(s *Session) error { return s.Write(t.Context(), 3, good, none) }, false},
		{"half an access code", idle543, func(s *Session) error { return s.Delete(t.Context(), Slot1, secret.New([]byte{1, 2})) }, false},
		{"no key", idle543, func(s *Session) error { return s.Write(t.Context(), Slot1, Config{}, none) }, false},
		{"mode by update", idle543, func(s *Session) error { return s.Update(t.Context(), Slot1, Flags{Ticket: OathHOTP}, none, none) }, false},
		{"slot 2 of a beta", "GET 00 02 01 05 00 00 00 00", func(s *Session) error { return s.Delete(t.Context(), Slot2, none) }, true},
		{"swap on 2.2", "GET 00 02 02 00 00 00 00 00", func(s *Session) error { return s.Swap(t.Context()) }, true},
		{"serial on 2.1", "GET 00 02 01 00 00 00 00 00", func(s *Session) error { _, err := s.Serial(t.Context()); return err }, true},
		{"device info on 2.4", idle243, func(s *Session) error { _, err := s.DeviceInfo(t.Context()); return err }, true},
		{"code by update on 4.3.5", "GET 00 04 03 05 01 01 00 00", func(s *Session) error { return s.Update(t.Context(), Slot1, Flags{}, code, none) }, true},
	} {
		p := newPlayback(t, tc.status)
		s, err := Open(t.Context(), p, p.pause)
		if err != nil {
			t.Fatal(err)
		}
		err = tc.call(s)
		var unsupported *UnsupportedError
		var invalid *InvalidError
		if errors.As(err, &unsupported) != tc.unsupported || errors.As(err, &invalid) == tc.unsupported {
			t.Errorf("%s: %v", tc.name, err)
		}
		p.end()
	}
}
