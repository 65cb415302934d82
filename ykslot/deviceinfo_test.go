package ykslot

import (
	"bytes"
	"testing"
)

func TestDeviceInfoSample(t *testing.T) {
	t.Parallel()
	raw := unhex(t, deviceInfo527)
	var a Response
	for _, r := range responseReports(append(raw, 0, 0, 0, 0, 0, 0, 0, 0)) { // the capture is padded with zeros
		if _, err := a.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	page, err := a.Counted()
	if err != nil {
		t.Fatal(err)
	}
	var d DeviceInfo
	more, err := d.AddPage(page)
	if err != nil || more != -1 {
		t.Fatalf("more %d, %v", more, err)
	}
	if d.Version != (Version{5, 2, 7}) || d.Serial != 0xf0f43b || d.USBSupported != 0x23f || d.USBEnabled != 0x23b || d.FormFactor != 3 || d.FIPS || d.SecurityKey || d.Locked || d.ChallengeTimeout.Seconds() != 15 {
		t.Errorf("%+v", d)
	}
	if last := d.TLVs[len(d.TLVs)-1]; last.Tag != 0x0f || len(d.TLVs) != 10 {
		t.Errorf("unknown tags are lost: %v", d.TLVs)
	}
}

func TestDeviceInfoPages(t *testing.T) {
	t.Parallel()
	var d DeviceInfo
	for _, p := range []struct {
		page string
		more int
	}{{"04 01 c5 10 01 02 77 01 05", 2}, {"100101", 1}, {"0204 00000007 1302 4142 040101", -1}} {
		more, err := d.AddPage(unhex(t, string(bytes.ReplaceAll([]byte(p.page), []byte(" "), nil))))
		if err != nil || more != p.more {
			t.Errorf("%s: more %d, %v", p.page, more, err)
		}
	}
	if d.FormFactor != 1 || d.FIPS || d.Serial != 7 || d.PartNumber != "AB" || len(d.TLVs) != 7 {
		t.Errorf("%+v", d)
	}
	for _, bad := range []string{"02", "0205000000", "02050000000001", "0200", "05020102", "10020001"} {
		if _, err := new(DeviceInfo).AddPage(unhex(t, bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestDeviceInfoQuirks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		v             Version
		supported, on Capability
	}{{Version{4, 2, 4}, 0x3f, 0}, {Version{4, 3, 7}, 0x07, 0}, {Version{5, 2, 7}, 0x07, 0x03}} {
		d := DeviceInfo{USBSupported: 0x07, USBEnabled: 0x03}
		d.correct(tc.v)
		if d.USBSupported != tc.supported || d.USBEnabled != tc.on || d.Version != tc.v {
			t.Errorf("%v: %+v", tc.v, d)
		}
	}
}

// FuzzDeviceInfo: every item of a page that is taken is kept, in order.
func FuzzDeviceInfo(f *testing.F) {
	f.Add(unhex(f, deviceInfo527)[1:39])
	f.Add(unhex(f, "0101ff0204006b956a03013f"))
	f.Add(unhex(f, "100101"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d DeviceInfo
		if _, err := d.AddPage(b); err != nil {
			return
		}
		var again []byte
		for _, item := range d.TLVs {
			again = append(append(again, item.Tag, byte(len(item.Value))), item.Value...)
		}
		if !bytes.Equal(again, b) {
			t.Fatal("items differ from the page")
		}
	})
}
