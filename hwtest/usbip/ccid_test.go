package usbip

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
)

// message is a CCID message to the reader: type, sequence, data.
func message(kind, seq byte, data string) []byte {
	d, _ := hex.DecodeString(data)
	b := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(d)))
	return append(append(b, 0, seq, 0, 0, 0), d...)
}

// block sends a CCID message in pieces of at most n bytes and fetches the answer.
func (h *host) block(n int, m []byte) string {
	h.t.Helper()
	for len(m) > 0 {
		part := m[:min(n, len(m))]
		m = m[len(part):]
		h.submit(false, epCCID, len(part), [8]byte{}, part)
		if _, _, status, _ := h.reap(false); status != 0 {
			h.t.Fatalf("bulk OUT: status %d", status)
		}
	}
	return h.fetch(ccidMessageLen)
}

func (h *host) fetch(n int) string {
	h.t.Helper()
	h.submit(true, epCCIDIn&epNumber, n, [8]byte{}, nil)
	_, _, status, data := h.reap(true)
	if status != 0 {
		h.t.Fatalf("bulk IN: status %d", status)
	}
	return hex.EncodeToString(data)
}

const (
	selectOTP  = "00a4040007a0000005272001"
	selectMgmt = "00a4040008a000000527471117"
)

// TestCompositeDescriptors has the configuration of §1.2 with CCID, by generation and interfaces.
func TestCompositeDescriptors(t *testing.T) {
	t.Parallel()
	const (
		otp    = "0904%02x0001030101 00 092110010001224700 0705810308000a"
		fido   = "0904%02x000203000000 092110010001222200 07050403400002 07058403400002"
		ccid   = "0904%02x00030b000000 "
		five   = "3621000100 07 02000000 a00f0000 a00f0000 00 00b00400 00b00400 00 f60b0000 00000000 00000000 fe000400 000c0000 ff ff 0000 00 01"
		neo    = "3621000100 07 02000000 a00f0000 a00f0000 00 00b00400 00b00400 00 78050000 00000000 00000000 fe000400 78050000 ff ff 0000 00 01"
		neoOTP = "3621000100 07 02000000 a00f0000 a00f0000 00 80250000 80250000 00 78050000 00000000 00000000 fe000400 78050000 ff ff 0000 00 01"
		ends   = "07050202400000 07058202400000 07058303080020"
	)
	for _, v := range []struct {
		profile vkey.Profile
		total   string
		parts   []string
	}{
		{vkey.YubiKey543, "9600", []string{otp, fido, ccid + five + ends}},
		{vkey.YubiKey543.Without(vkey.FIDO), "7600", []string{otp, ccid + five + ends}},
		{vkey.YubiKey543.Without(vkey.OTP), "7d00", []string{fido, ccid + five + ends}},
		{vkey.YubiKey543.WithPID(0x0404), "5d00", []string{ccid + five + ends}},
		{vkey.YubiKeyNEO, "9600", []string{otp, fido, ccid + neo + ends}},
		{vkey.YubiKeyNEO.Without(vkey.FIDO), "7600", []string{otp, ccid + neoOTP + ends}},
	} {
		want := "0902" + v.total + hex.EncodeToString([]byte{byte(len(v.parts))}) + "0100800f"
		for n, p := range v.parts {
			want += strings.Replace(p, "%02x", hex.EncodeToString([]byte{byte(n)}), 1)
		}
		want = strings.ReplaceAll(want, " ", "")
		d, ok := describe(vkey.New(v.profile, vkey.Options{}))
		if got := hex.EncodeToString(d.configDescriptor()); !ok || got != want {
			t.Errorf("PID %04x: %s, want %s", v.profile.PID, got, want)
		}
	}
}

// TestCCID has the commands of §9.4, in one piece and in packets.
func TestCCID(t *testing.T) {
	t.Parallel()
	for _, size := range []int{ccidMessageLen, 64, 7, 1} {
		h, _, _ := attach(t, serve(t, vkey.New(vkey.YubiKey571, vkey.Options{Serial: 7654321})), "1-1")
		for n, v := range []struct {
			name string
			kind byte
			data string
			want string // without length, slot and sequence
		}{
			{"status before power", 0x65, "", "81 010000"},
			{"command before power", 0x6f, selectOTP, "80 41fe00"},
			{"power on", 0x62, "", "80 000000 3bfd1300008131fe158073c021c057597562694b657940"},
			{"status", 0x65, "", "81 000000"},
			{"parameters", 0x6c, "", "82 000001 111000" + "4d00fe00"},
			{"set parameters", 0x61, "1110004d00fe00", "82 000001 1110004d00fe00"},
			{"reset parameters", 0x6d, "", "82 000001 1110004d00fe00"},
			{"select", 0x6f, selectMgmt, "80 000000 " + hex.EncodeToString([]byte("Virtual mgr - FW version 5.7.1")) + "9000"},
			{"info", 0x6f, "001d000000", "80 000000 310102023f0302023f02040074cbb104010305030507010602000007010f0801000d02023f0e02023f0a01000f0100100101" + "9000"},
			{"empty command", 0x6f, "", "80 000000 6700"},
			{"power off", 0x63, "", "81 010000"},
			{"escape", 0x6b, "00", "81 410000"},
		} {
			seq := byte(n + 1)
			got := h.block(size, message(v.kind, seq, v.data))
			kind, rest, _ := strings.Cut(v.want, " ")
			status, data, _ := strings.Cut(rest, " ")
			want := message(0, seq, data)
			want[0] = unhex(t, kind)[0]
			copy(want[7:], unhex(t, status))
			if got != hex.EncodeToString(want) {
				t.Errorf("%s in pieces of %d: %s, want %x", v.name, size, got, want)
			}
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCCIDEdges: two messages in one packet, an answer fetched in pieces, a message that is too long, another slot, and an
// answer that fills its last packet.
func TestCCIDEdges(t *testing.T) {
	t.Parallel()
	h, _, _ := attach(t, serve(t, vkey.New(vkey.YubiKey571, vkey.Options{Serial: 7654321})), "1-1")
	two := append(message(0x62, 1, ""), message(0x65, 2, "")...)
	if got := h.block(64, two); !strings.HasPrefix(got, "8017000000"+"0001") {
		t.Errorf("first of two: %s", got)
	}
	if got := h.fetch(64); got != "81000000000002000000" {
		t.Errorf("second of two: %s", got)
	}
	h.submit(false, epCCID, 23, [8]byte{}, message(0x6f, 3, selectMgmt))
	h.reap(false)
	if got := h.fetch(12) + h.fetch(64); got != "8020000000"+"0003000000"+hex.EncodeToString([]byte("Virtual mgr - FW version 5.7.1"))+"9000" {
		t.Errorf("in pieces: %s", got)
	}
	long := message(0x6f, 4, strings.Repeat("00", ccidMessageLen-ccidHead+1))
	if got := h.block(1024, append(long, message(0x65, 5, "")...)); got != "81000000000004400100" {
		t.Errorf("too long: %s", got)
	}
	if got := h.fetch(64); got != "81000000000005000000" {
		t.Errorf("after it: %s", got)
	}
	other := message(0x65, 6, "")
	other[5] = 1
	if got := h.block(64, other); got != "81000000000106420500" {
		t.Errorf("slot 1: %s", got)
	}
	// 10 + 54 bytes: the transfer of 64 bytes is full, and the next is of the next message.
	h.block(64, message(0x6f, 7, "00a4040007a0000005272001"))
	got := h.block(64, message(0x6f, 8, "0001130000"))
	if len(got) != 2*(ccidHead+50+2) {
		t.Errorf("%d bytes", len(got)/2)
	}
	// libccid reads into a buffer for the longest extended command.
	h.block(64, message(0x65, 9, ""))
	m := message(0x65, 10, "")
	h.submit(false, epCCID, len(m), [8]byte{}, m)
	h.reap(false)
	if got := h.fetch(1<<16 + 1<<10); got != "8100000000000a000000" {
		t.Errorf("with a large buffer: %s", got)
	}
	h.submit(true, epNotify&epNumber, 8, [8]byte{}, nil)
	if seq := h.unlink(h.seq); seq == 0 {
		t.Error("unlink")
	}
	if command, _, status, _ := h.reap(true); command != 4 || status != statusUnlink {
		t.Errorf("the notification endpoint does not wait: %d", status)
	}
}

// TestZLP: a message that fills its last packet ends the transfer all the same, and begins no empty one.
func TestZLP(t *testing.T) {
	t.Parallel()
	p := &pipe{messages: [][]byte{make([]byte, 128), make([]byte, 10)}}
	for _, length := range []uint32{512, 64} {
		p.waiting = append(p.waiting, urb{length: length})
	}
	for _, want := range []int{128, 10} {
		if _, data, ok := p.next(); !ok || len(data) != want {
			t.Errorf("transfer of %d bytes, want %d", len(data), want)
		}
	}
}

// TestBothSides: card and reports share one state, over one attachment.
func TestBothSides(t *testing.T) {
	t.Parallel()
	h, _, _ := attach(t, serve(t, vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})), "1-1")
	for _, r := range otpFrame {
		h.set(r)
	}
	h.block(64, message(0x62, 1, ""))
	if got := h.block(64, message(0x6f, 2, selectOTP)); !strings.HasSuffix(got, "050403010505"+"9000") {
		t.Errorf("the card says %s", got)
	}
	h.block(64, message(0x6f, 3, "0001040034"+strings.Repeat("00", 52)))
	if got := h.get(); got != "0005040301050500" {
		t.Errorf("the report says %s", got)
	}
}

// TestRebootByCard: the answer to the command that reboots the key reaches a host that fetches it late; then the key is
// detached, and comes back with another PID.
func TestRebootByCard(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey571, vkey.Options{Serial: 1})
	addr := serve(t, k)
	h, _, _ := attach(t, addr, "1-1")
	h.block(64, message(0x62, 1, ""))
	h.block(64, message(0x6f, 2, selectMgmt))
	gone := k.Gone()
	m := message(0x6f, 3, "001c000007060c0003020039")
	h.submit(false, epCCID, len(m), [8]byte{}, m)
	h.reap(false)
	<-gone
	if got := h.fetch(64); got != "80020000000003000000"+"9000" {
		t.Errorf("answer %s", got)
	}
	if !h.closed() {
		t.Error("still attached")
	}
	status, listing := uint32(importBusy), []byte(nil)
	for status == importBusy {
		_, status, listing = attach(t, addr, "1-1")
	}
	if got := hex.EncodeToString(listing[300:304]); got != "10500405" {
		t.Errorf("came back as %s", got)
	}
}

// TestExtension: while a command waits for a touch the reader asks for more time, and the keyboard interface answers; the answer
// follows the touch. A key that is pulled out instead is detached at once.
func TestExtension(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey571, vkey.Options{Serial: 1})
	oathapplet.Install(k, oathapplet.Options{TouchWait: time.Hour})
	h, _, _ := attach(t, serve(t, k), "1-1")
	h.block(64, message(0x62, 1, ""))
	h.block(64, message(0x6f, 2, "00a4040007a0000005272101"))
	h.block(64, message(0x6f, 3, "0001000023"+"710161"+"7316110631323334353637383930313233343536373839307802"+"7a0400000000"))
	ask := func(seq byte) {
		t.Helper()
		want := fmt.Sprintf("8000000000"+"00%02x"+"800100", seq)
		if got := h.block(64, message(0x6f, seq, "00a200010571016174"+"00")); got != want {
			t.Fatalf("while it waits: %s, want %s", got, want)
		}
	}
	ask(4)
	if got := h.get(); got != "0005070100000500" {
		t.Errorf("the report says %s", got)
	}
	if !k.Touch(1) {
		t.Fatal("the touch did nothing")
	}
	got := h.fetch(64)
	for strings.HasSuffix(got, "800100") {
		got = h.fetch(64)
	}
	if want := "80090000000004000000" + "760506000b86189000"; got != want {
		t.Errorf("after the touch: %s, want %s", got, want)
	}
	ask(5)
	k.Unplug()
	if !h.closed() {
		t.Error("still attached")
	}
}

// TestManyKeys: several keys are attached at once, each with its own slots and reader.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	var keys []*vkey.Key
	for n := range uint32(5) {
		keys = append(keys, vkey.New(vkey.YubiKey543, vkey.Options{Serial: 0x01020300 + n}))
	}
	addr := serve(t, keys...)
	var hosts []*host
	for n := range keys {
		h, status, _ := attach(t, addr, busID(n+1))
		if status != 0 {
			t.Fatalf("key %d: status %d", n+1, status)
		}
		hosts = append(hosts, h)
	}
	for n, h := range hosts {
		h.block(64, message(0x62, 1, ""))
		h.block(64, message(0x6f, 2, selectOTP))
		want := hex.EncodeToString([]byte{1, 2, 3, byte(n), 0x90, 0})
		if got := h.block(64, message(0x6f, 3, "0001100000")); !strings.HasSuffix(got, want) {
			t.Errorf("key %d says %s", n+1, got)
		}
	}
	keys[2].Unplug()
	if !hosts[2].closed() {
		t.Error("key 3 is still attached")
	}
	if got := hosts[3].get(); got != "0005040300000500" {
		t.Errorf("key 4 says %s", got)
	}
}

// TestFIDO: INIT gives a channel, a PING comes back, Yubico's device info is told, anything else is an error.
func TestFIDO(t *testing.T) {
	t.Parallel()
	h, _, _ := attach(t, serve(t, vkey.New(vkey.YubiKey571, vkey.Options{Serial: 7654321})), "1-1")
	ask := func(packet string) string {
		t.Helper()
		b := append(unhex(t, packet), make([]byte, 64-len(packet)/2)...)
		h.submit(false, epFIDO, 64, [8]byte{}, b)
		h.reap(false)
		h.submit(true, epFIDOIn&epNumber, 64, [8]byte{}, nil)
		_, _, _, data := h.reap(true)
		if len(data) != 64 {
			t.Errorf("%d bytes", len(data))
		}
		return hex.EncodeToString(data)
	}
	for packet, want := range map[string]string{
		"ffffffff8600080102030405060708":    "ffffffff860011010203040506070800000001020507010800",
		"00000001810003aabbcc":              "00000001810003aabbcc00",
		"00000001c2000100":                  "00000001c20032310102023f",
		"00000001c2000101":                  "00000001c2001110130b56",
		"00000001900001" + "04":             "00000001bf000101",
		"ffffffff810001aa":                  "ffffffffbf000101",
		"00000001811000" + "aa":             "00000001bf000103",
		"ffffffff860007" + "01020304050607": "ffffffffbf000101",
	} {
		if got := ask(packet); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", packet, got, want)
		}
	}
	if got := ask("00000001c30004" + "03070114"); !strings.HasPrefix(got, "00000001c30000") {
		t.Errorf("write: %s", got)
	}
	if got := ask("00000001c30004" + "03550114"); !strings.HasPrefix(got, "00000001bf00017f") {
		t.Errorf("bad write: %s", got)
	}
	if got := ask("00000001c20000"); !strings.Contains(got, "070114") {
		t.Errorf("read back: %s", got)
	}
	packets := ctapAnswer(7, ctapPing, bytes.Repeat([]byte{9}, 200))
	if len(packets) != 4 || hex.EncodeToString(packets[3][:5]) != "0000000702" || packets[3][5+24] != 9 || packets[3][5+25] != 0 {
		t.Errorf("%d packets: %x", len(packets), packets)
	}
}

// FuzzCCID feeds any bytes in any pieces to the reader: each answer is one well-formed message, and what is kept is bounded
// by the longest message.
func FuzzCCID(f *testing.F) {
	f.Add(append(message(0x62, 1, ""), message(0x6f, 2, selectOTP)...), byte(64))
	f.Add(message(0x6f, 3, strings.Repeat("00", 5000)), byte(3))
	f.Add([]byte{0x6f, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 2, 3}, byte(1))
	f.Add(message(0x61, 1, "1110004d00fe00"), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, size byte) {
		c := ccid{card: vkey.New(vkey.YubiKey571, vkey.Options{Serial: 1}).Card(), max: ccidMessageLen}
		for len(b) > 0 {
			part := b[:min(len(b), max(1, int(size)))]
			b = b[len(part):]
			for _, a := range c.take(part) {
				if len(a) < ccidHead || int(binary.LittleEndian.Uint32(a[1:])) != len(a)-ccidHead || len(a) > ccidMessageLen || a[0] < 0x80 {
					t.Fatalf("answer %x", a)
				}
			}
			if len(c.in) > ccidMessageLen {
				t.Fatalf("keeps %d bytes", len(c.in))
			}
		}
	})
}

// FuzzFIDO sends any packet: the answer is whole packets for the same channel.
func FuzzFIDO(f *testing.F) {
	for _, s := range []string{"ffffffff8600080102030405060708", "00000001c2000100", "00000001810003aabbcc", "0000000100", ""} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range answerFIDO(vkey.New(vkey.YubiKey571, vkey.Options{Serial: 1}), b) {
			if len(p) != ctapPacket || !bytes.Equal(p[:4], b[:4]) {
				t.Fatalf("%x: %x", b, p)
			}
		}
	})
}
