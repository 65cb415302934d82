package vkey

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// FuzzReports sends any reports to any firmware, touching the key now and then. It never panics, and each GET is
// well-formed: a status of this firmware (flag 00 or 2x), or a part of a response (flag 4x).
func FuzzReports(f *testing.F) {
	for i, s := range []string{
		"0000000000000080 00106b5b00000089",
		"ff0000bc614e0080 0000010203040582 0600010203040583 060708090a0b0c84 0d0e0f0000000085 0000063420000086 005c520000000087 0001955600000089",
		"0000000000000080 0000404142430082 0030313233343583 363738393a3b3c84 3d3e3f0000000085 0000000440260086 0098410000000087 0003955600000089 0000000000000080 00386b5b00000089",
		"0000000000000080 00136b5b00000089 00000000000000ff",
		"000000000000008f 0000000000000089",
	} {
		var b []byte
		for _, r := range strings.Fields(s) {
			part, err := hex.DecodeString(r)
			if err != nil {
				f.Fatal(err)
			}
			b = append(b, part...)
		}
		f.Add(byte(i), b)
	}
	f.Fuzz(func(t *testing.T, which byte, reports []byte) {
		p := Profiles()[int(which)%len(Profiles())]
		now := time.Unix(0, 0)
		k := New(p, Options{Serial: 1, Rand: strings.NewReader(""), Now: func() time.Time { return now }})
		for len(reports) >= usbhid.ReportLen {
			if err := k.Set(usbhid.Report(reports)); err != nil {
				t.Fatal(err)
			}
			reports = reports[usbhid.ReportLen:]
			// A complete frame is run with its right CRC, too: else the fuzzer never gets past it.
			k.mu.Lock()
			k.run(k.rx[payloadLen], (*payload)(k.rx[:payloadLen]))
			k.mu.Unlock()
			k.Touch(1 + len(reports)%2)
			now = now.Add(time.Second)
			for n := range 40 {
				r, err := k.Get()
				if err != nil {
					t.Fatal(err)
				}
				status := r[0] == 0 && r[1] == p.Version.Major && r[2] == p.Version.Minor && r[3] == p.Version.Build
				flag := r[7]
				if flag&flagWrite != 0 || flag&^seqMask != flagResponse && !status {
					t.Fatalf("read %d: %x", n, r)
				}
				if flag == 0 {
					break
				}
				if n == 39 && flag&flagResponse != 0 {
					t.Fatal("a response without end")
				}
			}
		}
	})
}
