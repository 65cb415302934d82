package vkey

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// rig is a key with a clock that stands still and randomness that is read from a script.
type rig struct {
	*Key
	t   *testing.T
	now time.Time
}

func newRig(t *testing.T, p Profile, o Options) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Unix(1_700_000_000, 0)}
	o.Now = func() time.Time { return r.now }
	if o.Rand == nil {
		o.Rand = strings.NewReader("") // zeros
	}
	r.Key = New(p, o)
	return r
}

// get reads one report.
func (r *rig) get() usbhid.Report {
	r.t.Helper()
	rep, err := r.Get()
	if err != nil {
		r.t.Fatalf("Get: %v", err)
	}
	return rep
}

// send writes reports given in hexadecimal, as the reference shows them.
func (r *rig) send(reports string) {
	r.t.Helper()
	for _, f := range strings.Fields(reports) {
		if err := r.Set(usbhid.Report(unhex(r.t, f))); err != nil {
			r.t.Fatalf("Set %s: %v", f, err)
		}
	}
}

// frame writes a frame: 10 parts, those of zeros left out, except the first and last.
func (r *rig) frame(cmd byte, pay []byte) {
	r.t.Helper()
	var f [frameLen]byte
	copy(f[:payloadLen], pay)
	f[payloadLen] = cmd
	binary.LittleEndian.PutUint16(f[payloadLen+1:], crc16(f[:payloadLen]))
	for n := range lastPart + 1 {
		part := f[n*dataLen : (n+1)*dataLen]
		if n != 0 && n != lastPart && bytes.Equal(part, make([]byte, dataLen)) {
			continue
		}
		rep := usbhid.Report{dataLen: flagWrite | byte(n)}
		copy(rep[:], part)
		if err := r.Set(rep); err != nil {
			r.t.Fatalf("Set part %d: %v", n, err)
		}
	}
}

// accepts runs a write command and says whether ProgSeq shows it was accepted, by yubikit's rule (§1.6).
func (r *rig) accepts(cmd byte, pay []byte) bool {
	r.t.Helper()
	old := r.get()
	r.frame(cmd, pay)
	st := r.get()
	if st[7] != 0 {
		r.t.Fatalf("after command %02x: flag %02x, want a status", cmd, st[7])
	}
	return st[4] == old[4]+1 || st[4] == 0 && old[4] > 0 && st[5]&3 == 0
}

// must fails the test unless the write is accepted.
func (r *rig) must(cmd byte, pay []byte) {
	r.t.Helper()
	if !r.accepts(cmd, pay) {
		r.t.Fatalf("command %02x was rejected", cmd)
	}
}

// response reads parts until the end marker; nil if the key shows status.
func (r *rig) response() []byte {
	r.t.Helper()
	var out []byte
	for n := range 32 {
		rep := r.get()
		if rep[7]&flagResponse == 0 {
			return nil
		}
		if n > 0 && rep[7] == flagResponse {
			return out
		}
		if rep[7] != flagResponse|byte(n) {
			r.t.Fatalf("part %d has flag %02x", n, rep[7])
		}
		out = append(out, rep[:7]...)
	}
	r.t.Fatal("no end marker")
	return nil
}

// answer runs a command and returns n bytes of its response, CRC checked; nil if there is none.
func (r *rig) answer(cmd byte, pay []byte, n int) []byte {
	r.t.Helper()
	r.frame(cmd, pay)
	out := r.response()
	if out == nil {
		return nil
	}
	if parts := (n + 2 + 6) / 7; len(out) != parts*7 {
		r.t.Fatalf("command %02x: %d bytes of parts, want %d parts", cmd, len(out), parts)
	}
	if crc16(out[:n+2]) != crcResidual {
		r.t.Fatalf("command %02x: bad CRC in %x", cmd, out)
	}
	return out[:n]
}

// conf is a configuration to be marshalled.
type conf struct {
	fixed, uid, key string // hexadecimal
	code, current   string
	ext, tkt, cfg   byte
}

func (c conf) bytes(t *testing.T) []byte {
	t.Helper()
	b := make([]byte, configLen+codeLen)
	fixed := unhex(t, c.fixed)
	copy(b, fixed)
	copy(b[offUID:], unhex(t, c.uid))
	copy(b[offKey:], unhex(t, c.key))
	copy(b[offCode:], unhex(t, c.code))
	b[offSize] = byte(len(fixed))
	b[offExt], b[offTkt], b[offCfg] = c.ext, c.tkt, c.cfg
	binary.LittleEndian.PutUint16(b[offCRC:], ^crc16(b[:offCRC]))
	copy(b[offCurrent:], unhex(t, c.current))
	return b
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// at puts bytes at an offset of an otherwise zero payload.
func at(off int, b []byte) []byte { return append(make([]byte, off), b...) }

const (
	testKey  = "000102030405060708090a0b0c0d0e0f"
	testUID  = "010203040506"
	hmacKey  = "303132333435363738393a3b3c3d3e3f40414243"
	codeA    = "aabbccddeeff"
	codeB    = "112233445566"
	rfc4226  = "3132333435363738393031323334353637383930"
	otpExt   = 0x34
	otpPlain = "ff0000bc614e"
)

// otp is the configuration of yubikit's Yubico OTP, F11.
func otp() conf {
	return conf{fixed: otpPlain, uid: testUID, key: testKey, ext: otpExt, tkt: 0x20}
}

// sha1Conf is a 20-byte key split over key and uid, with two more bytes in uid.
func sha1Conf(key, tail string, tkt, cfg byte) conf {
	return conf{uid: key[32:] + tail, key: key[:32], ext: 0x24, tkt: tkt, cfg: cfg}
}
