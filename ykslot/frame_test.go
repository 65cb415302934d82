package ykslot

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

func crc16(b []byte) uint16 { return yubiotp.CRC16(b) }

// deviceInfo527 is the captured answer of reference yubikey-otp.md §1.8, with its CRC.
const deviceInfo527 = "260102023f0302023b020400f0f43b04010305030502070602000007010f0801000a01000f0100a808"

// responseReports cuts an answer into the reports a key would give, with the end marker.
func responseReports(data []byte) (out []Report) {
	for n := 0; len(data) > 0; n++ {
		var r Report
		data = data[copy(r[:partLen], data):]
		r[offFlag] = flagData | byte(n)
		out = append(out, r)
	}
	return append(out, Report{offFlag: flagData})
}

// withCRC appends the complemented CRC.
func withCRC(data []byte) []byte {
	crc := ^crc16(data)
	return append(append([]byte(nil), data...), byte(crc), byte(crc>>8))
}

func TestResponse(t *testing.T) {
	t.Parallel()
	serial := unhex(t, "0074cbb16795")
	for _, tc := range []struct {
		name    string
		reports []Report
		n       int
		ok      bool
	}{
		{"serial of §1.5", responseReports(serial), 4, true},
		{"16 bytes in three parts", responseReports(withCRC(make([]byte, 16))), 16, true},
		{"12 bytes in exactly two parts", responseReports(withCRC(make([]byte, 12))), 12, true},
		{"one part too many", responseReports(append(serial, make([]byte, 7)...)), 4, false},
		{"one part too few", responseReports(serial), 6, false},
		{"no end marker", responseReports(serial)[:1], 4, false},
		{"only the end marker", responseReports(nil), 4, false},
		{"wrong CRC", responseReports(unhex(t, "0074cbb16796")), 4, false},
		{"part missing", append(responseReports(withCRC(make([]byte, 16)))[:1], responseReports(withCRC(make([]byte, 16)))[2:]...), 16, false},
		{"part twice", append(responseReports(withCRC(make([]byte, 16)))[:2], responseReports(withCRC(make([]byte, 16)))[1:]...), 16, false},
		{"data after the end", append(responseReports(serial), responseReports(serial)...), 4, false},
		{"status among the parts", []Report{{}}, 4, false},
	} {
		var a Response
		var err error
		for _, r := range tc.reports {
			if _, e := a.Add(r); e != nil && err == nil {
				err = e
			}
		}
		var got []byte
		if err == nil {
			got, err = a.Bytes(tc.n)
		}
		if (err == nil) != tc.ok || tc.ok && len(got) != tc.n || !tc.ok && !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %x, %v", tc.name, got, err)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	s, ok := ParseStatus(Report{0, 5, 4, 3, 7, 0x16, 0x05, 0})
	if !ok || s.Version != (Version{5, 4, 3}) || s.ProgSeq != 7 || s.Touch != 0x0516 {
		t.Fatalf("%+v, %v", s, ok)
	}
	if s.Configured(Slot1) || !s.Configured(Slot2) || !s.TouchRequired(Slot1) || s.TouchRequired(Slot2) || !s.LEDInverted() {
		t.Errorf("bits of %04x", s.Touch)
	}
	for _, flag := range []byte{0x80, 0x40, 0x2f, 0x8f, 0x9f, 0x01} {
		if _, ok := ParseStatus(Report{offFlag: flag}); ok {
			t.Errorf("flag %02x was taken for a status", flag)
		}
	}
}

// FuzzStatus: what parses gives the same report again, but for byte 0.
func FuzzStatus(f *testing.F) {
	f.Add([]byte{0, 5, 4, 3, 1, 5, 0, 0})
	f.Add([]byte{0, 2, 4, 0, 0, 0, 0, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < ReportLen {
			return
		}
		r := Report(b)
		s, ok := ParseStatus(r)
		if ok != (r[offFlag] == 0) {
			t.Fatal("flag byte ignored")
		}
		if r[0] = 0; ok && s.Report() != r {
			t.Fatal("report differs")
		}
	})
}

// FuzzResponse: an answer that is taken is a prefix of what was sent, and its CRC holds.
func FuzzResponse(f *testing.F) {
	f.Add(unhex(f, "0074cbb167950040"+"0000000000000040"), 4)
	f.Add(unhex(f, "0074cbb167950040"), 4)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 0 || n > 300 {
			return
		}
		var a Response
		var sent []byte
		for ; len(b) >= ReportLen; b = b[ReportLen:] {
			end, err := a.Add(Report(b))
			if err != nil {
				return
			}
			if end {
				break
			}
			sent = append(sent, b[:partLen]...)
		}
		got, err := a.Bytes(n)
		if err != nil {
			if got != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if string(got) != string(sent[:n]) || crc16(sent[:n+2]) != yubiotp.CRCResidual {
			t.Fatal("answer differs")
		}
	})
}
