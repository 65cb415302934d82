package usbip

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

func newKey(serial uint32) *vkey.Key {
	return vkey.New(vkey.YubiKey543.Without(vkey.CCID), vkey.Options{Serial: serial})
}

// otpFrame is F11 of reference yubikey-otp.md §3.10: a Yubico OTP in slot 1.
var otpFrame = strings.Fields("ff0000bc614e0080 0000010203040582 0600010203040583 060708090a0b0c84 0d0e0f0000000085 0000063420000086 005c520000000087 0001955600000089")

// TestDevlist shows each plugged key with its interfaces.
func TestDevlist(t *testing.T) {
	t.Parallel()
	first, second := newKey(1), vkey.New(vkey.YubiKey24, vkey.Options{})
	addr := serve(t, first, second)
	list := func() []byte {
		h := dial(t, addr)
		h.write([]byte{0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0})
		if got := hex.EncodeToString(h.read(8)); got != "0111000500000000" {
			t.Fatalf("devlist reply %s", got)
		}
		n := int(h.read(4)[3])
		var all []byte
		for range n {
			d := h.read(312)
			all = append(all, d[288:]...)
			all = append(all, h.read(4*int(d[311]))...)
			if !bytes.HasPrefix(d[256:], []byte("1-")) {
				t.Errorf("bus id %q", d[256:260])
			}
		}
		if !h.closed() {
			t.Error("more data after the list")
		}
		return all
	}
	const (
		five = "000000010000000100000002" + "105004030543" + "000000" + "010102" + "03010100" + "03000000"
		two  = "000000010000000200000002" + "105000100243" + "000000" + "010101" + "03010100"
	)
	if got := hex.EncodeToString(list()); got != five+two {
		t.Errorf("list %s, want %s", got, five+two)
	}
	first.Unplug()
	if got := hex.EncodeToString(list()); got != two {
		t.Errorf("list %s, want %s", got, two)
	}
}

// TestRefused: a key without an interface is not served; a wrong bus id and a second client are told.
func TestRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), l, vkey.New(vkey.YubiKey543.WithPID(0), vkey.Options{})); !errors.Is(err, ErrInterface) {
		t.Errorf("Serve without an interface: %v", err)
	}
	k := newKey(1)
	addr := serve(t, k)
	if _, status, _ := attach(t, addr, "1-2"); status != importNoDev {
		t.Errorf("unknown bus id: status %d", status)
	}
	attach(t, addr, "1-1")
	if _, status, _ := attach(t, addr, "1-1"); status != importBusy {
		t.Errorf("second client: status %d", status)
	}
	h := dial(t, addr)
	h.write([]byte{0x01, 0x10, 0x80, 0x05, 0, 0, 0, 0})
	if !h.closed() {
		t.Error("another protocol version was answered")
	}
}

// TestDescriptors enumerates a key as a kernel does.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	h, _, _ := attach(t, serve(t, newKey(7)), "1-1")
	const config = "09024200020100800f" + "090400000103010100" + "092110010001224700" + "0705810308000a" +
		"090401000203000000" + "092110010001222200" + "07050403400002" + "07058403400002"
	for _, v := range []struct{ name, setup, want string }{
		{"device", "8006000100001200", "1201000200000040" + "5010" + "0304" + "4305" + "01020001"},
		{"device, 8 bytes", "8006000100000800", "1201000200000040"},
		{"configuration, header", "8006000200000900", "09024200020100800f"},
		{"configuration", "800600020000ff00", config},
		{"languages", "800600030904ff00", "04030904"},
		{"manufacturer", "800601030904ff00", "0e03" + utf16LE("Yubico")},
		{"product", "800602030904ff00", "2203" + utf16LE("YubiKey OTP+FIDO")},
		{"OTP HID", "8106002100000900", "092110010001224700"},
		{"OTP report", "810600220000ff00", hex.EncodeToString([]byte(otpReport))},
		{"FIDO report", "810600220100ff00", "06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0"},
		{"status", "8000000000000200", "0000"},
		{"get configuration", "8008000000000100", "01"},
		{"set configuration", "0009010000000000", ""},
		{"set interface", "010b000000000000", ""},
		{"set idle", "210a000000000000", ""},
		{"set idle FIDO", "210a000001000000", ""},
		{"set protocol", "210b010000000000", ""},
		{"get idle", "a102000000000100", "00"},
		{"get protocol", "a103000000000100", "01"},
		{"input report", "a101000100000800", "0000000000000000"},
	} {
		status, data := h.control(v.setup)
		if got := hex.EncodeToString(data); status != 0 || got != v.want {
			t.Errorf("%s: status %d, %s, want %s", v.name, status, got, v.want)
		}
	}
	if len(otpReport) != 71 || len(fidoReport) != 34 {
		t.Errorf("report descriptors of %d and %d bytes", len(otpReport), len(fidoReport))
	}
	for name, setup := range map[string]string{
		"device qualifier": "8006000600000a00", "no serial string": "800603030904ff00", "feature report of FIDO": "a101000301000800",
		"interface 2": "810600220200ff00", "vendor request": "c001000000000800",
	} {
		if status, _ := h.control(setup); status != -32 {
			t.Errorf("%s: status %d, want a stall", name, status)
		}
	}
	if status, _ := h.control("2109000200000100", 0x01); status != 0 {
		t.Errorf("keyboard lights: status %d", status)
	}
}

// TestSerialTrace is the complete trace of §1.5.
func TestSerialTrace(t *testing.T) {
	t.Parallel()
	h, _, _ := attach(t, serve(t, newKey(7654321)), "1-1")
	h.set("0000000000000080")
	h.set("00106b5b00000089")
	if got := h.get(); got != "0074cbb167950040" {
		t.Errorf("first part %s", got)
	}
	if got := h.get(); got != "0000000000000040" {
		t.Errorf("end marker %s", got)
	}
	h.set("000000000000008f")
	if got := h.get(); got != "0005040300000500" {
		t.Errorf("status %s", got)
	}
	// With a report ID in front, as some hosts send it: the last 8 bytes count (§9.2).
	for _, r := range [][]byte{{0, 0, 0, 0, 0, 0, 0, 0, 0x80}, {0, 0, 0x10, 0x6b, 0x5b, 0, 0, 0, 0x89}} {
		if status, _ := h.control("2109000300000900", r...); status != 0 {
			t.Errorf("9-byte SET: status %d", status)
		}
	}
	if got := h.get(); got != "0074cbb167950040" {
		t.Errorf("after 9-byte SETs %s", got)
	}
	if status, _ := h.control("2109000300000700", make([]byte, 7)...); status != -32 {
		t.Errorf("7-byte SET: status %d", status)
	}
}

// TestTyping reads an OTP from the interrupt endpoint, keeping one transfer pending as usbhid does.
func TestTyping(t *testing.T) {
	t.Parallel()
	k := newKey(1)
	h, _, _ := attach(t, serve(t, k), "1-1")
	for _, r := range otpFrame {
		h.set(r)
	}
	if !k.Touch(1) {
		t.Fatal("the key did not react")
	}
	var typed []usbhid.Report
	for range 2 * (12 + 32 + 1) {
		seq := h.submit(true, 1, 8, [8]byte{}, nil)
		command, got, status, data := h.reap(true)
		if command != 3 || got != seq || status != 0 || len(data) != 8 {
			t.Fatalf("reply %d to %d (want %d): status %d, %x", command, got, seq, status, data)
		}
		typed = append(typed, usbhid.Report(data))
	}
	text := vkey.Text(typed)
	if !strings.HasPrefix(text, "vvccccnrhbfu") || len(text) != 45 || text[44] != '\n' {
		t.Errorf("typed %q", text)
	}
	if k.Typed() != "" {
		t.Error("typed elsewhere as well")
	}
}

// TestUnlink: a pending transfer is given back with ECONNRESET and never answered; an unknown one with 0.
func TestUnlink(t *testing.T) {
	t.Parallel()
	k := newKey(1)
	h, _, _ := attach(t, serve(t, k), "1-1")
	for _, r := range otpFrame {
		h.set(r)
	}
	for _, ep := range []uint32{1, 4} {
		pending := h.submit(true, ep, 8, [8]byte{}, nil)
		seq := h.unlink(pending)
		if command, got, status, _ := h.reap(true); command != 4 || got != seq || status != -104 {
			t.Errorf("endpoint %d: reply %d to %d, status %d", ep, command, got, status)
		}
		seq = h.unlink(pending)
		if command, got, status, _ := h.reap(true); command != 4 || got != seq || status != 0 {
			t.Errorf("endpoint %d, again: reply %d to %d, status %d", ep, command, got, status)
		}
	}
	k.Touch(1)
	seq := h.submit(true, 1, 8, [8]byte{}, nil)
	if _, got, _, _ := h.reap(true); got != seq {
		t.Errorf("the unlinked transfer %d was answered", got)
	}
}

// TestEndpoints: FIDO swallows what is sent to it; an endpoint that is not there stalls.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	h, _, _ := attach(t, serve(t, newKey(1)), "1-1")
	h.submit(false, 4, 64, [8]byte{}, make([]byte, 64))
	if _, _, status, _ := h.reap(false); status != 0 {
		t.Errorf("FIDO OUT: status %d", status)
	}
	h.submit(true, 2, 64, [8]byte{}, nil)
	if _, _, status, _ := h.reap(true); status != -32 {
		t.Errorf("endpoint 2: status %d", status)
	}
}

// TestFaults: a stalled report is EPIPE; the report that unplugs the key is answered, then the connection closes.
func TestFaults(t *testing.T) {
	t.Parallel()
	k := newKey(1)
	addr := serve(t, k)
	h, _, _ := attach(t, addr, "1-1")
	k.SetFaults(vkey.Faults{StallReport: 1, UnplugAfter: 3})
	if status, _ := h.control("a101000300000800"); status != -32 {
		t.Errorf("stalled GET: status %d", status)
	}
	h.get()
	h.get()
	if !h.closed() {
		t.Error("still attached after unplug")
	}
	if _, status, _ := attach(t, addr, "1-1"); status == 0 {
		t.Error("an unplugged key was attached")
	}
}

// TestReattach: detaching frees the key, attaching again is a power cycle; iSerial appears then.
func TestReattach(t *testing.T) {
	t.Parallel()
	k := newKey(7654321)
	addr := serve(t, k)
	h, _, _ := attach(t, addr, "1-1")
	// The configuration of F11 with ext 36 instead of 34: SERIAL_USB_VISIBLE as well.
	frame := append([]string(nil), otpFrame...)
	frame[5], frame[6] = "0000063620000086", "00d4440000000087"
	for _, r := range frame {
		h.set(r)
	}
	h.set(otpFrame[0]) // a half-sent frame does not survive
	if got := h.get()[8:10]; got != "01" {
		t.Fatalf("ProgSeq %s: write rejected", got)
	}
	h.conn.Close()
	var status uint32 = importBusy
	for status == importBusy { // until the server has seen the connection close
		h, status, _ = attach(t, addr, "1-1")
	}
	if status != 0 {
		t.Fatalf("attach again: status %d", status)
	}
	if _, data := h.control("8006000100001200"); data[16] != 3 {
		t.Errorf("iSerial %d", data[16])
	}
	if _, data := h.control("800603030904ff00"); hex.EncodeToString(data) != "1603"+utf16LE("0007654321") {
		t.Errorf("serial string %q", data)
	}
}

// FuzzRequest: whatever decodes is written back as the same bytes; anything else is an error beside an empty result.
func FuzzRequest(f *testing.F) {
	f.Add([]byte{0x01, 0x11, 0x80, 0x05, 0, 0, 0, 0})
	f.Add(append([]byte{0x01, 0x11, 0x80, 0x03, 0, 0, 0, 0, '1', '-', '1'}, make([]byte, 29)...))
	f.Add(append([]byte{0, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, append(make([]byte, 20), 'o', 'k')...))
	f.Add(append([]byte{0, 0, 0, 2, 0, 0, 0, 9, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8}, make([]byte, 24)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := readOp(bytes.NewReader(b)); err != nil {
			if q != (opRequest{}) {
				t.Error("a request beside an error")
			}
		} else if len(q.name()) > busIDLen {
			t.Errorf("bus id of %d bytes", len(q.name()))
		}
		u, err := readURB(bytes.NewReader(b))
		if err != nil {
			if u.seq != 0 || u.data != nil {
				t.Error("a transfer beside an error")
			}
			return
		}
		if !u.unlink && !bytes.HasPrefix(b, writeURB(u)) {
			t.Errorf("%x is written back as %x", b, writeURB(u))
		}
		if u.unlink && !bytes.Equal(b[20:24], writeURB(u)[20:24]) {
			t.Error("another victim")
		}
	})
}
