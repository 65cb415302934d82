package pivapplet

import (
	"bytes"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// Data objects, SP 800-73-4 part 1 table 3 and reference yubikey-otp.md §8.
const (
	objectFingerprints = 0x5fc103
	objectFace         = 0x5fc108
	objectPrinted      = 0x5fc109
	objectIris         = 0x5fc121
	objectFirst        = 0x5fc101
	objectLast         = 0x5fc123
	objectYubicoFirst  = 0x5fff00
	objectYubicoLast   = 0x5fff15
	objectAttestation  = 0x5fff01
	objectDiscovery    = 0x7e

	tagObject = 0x5c
	tagData   = 0x53
	p1Data    = 0x3f
	p2Data    = 0xff
)

// discovery is the discovery object, SP 800-73-4 part 1 §3.3.2: the AID, and that the application's PIN is the one that counts.
const discovery = "\x7e\x12\x4f\x0b\xa0\x00\x00\x03\x08\x00\x00\x10\x00\x01\x00\x5f\x2f\x02\x40\x00"

// What fits, yubico-piv-tool's limits: bytes in one object, before firmware 4 and from then on; and all in all, Yubico's
// documentation of the YubiKey 4.
const (
	maxOldObject = 2048
	maxObject    = 3063
	maxObjects   = 51200
)

// needsPIN says whether an object is read with the PIN only, SP 800-73-4 part 1 table 3.
func needsPIN(id uint32) bool {
	switch id {
	case objectFingerprints, objectFace, objectPrinted, objectIris:
		return true
	}
	return false
}

// objectOf reads the tag list.
func objectOf(items []item) (id uint32, ok bool) {
	if len(items) == 0 || items[0].tag != tagObject || len(items[0].value) == 0 || len(items[0].value) > 3 {
		return 0, false
	}
	for _, b := range items[0].value {
		id = id<<8 | uint32(b)
	}
	return id, true
}

// getData is GET DATA: 53 with what PUT DATA wrote, or the discovery object as it is.
func (a *Applet) getData(s *session, c vkey.APDU) ([]byte, uint16) {
	if c.P1 != p1Data || c.P2 != p2Data {
		return nil, swWrongP1P2
	}
	items, ok := parse(c.Data)
	if !ok {
		return nil, vkey.SWWrongData
	}
	id, ok := objectOf(items)
	switch {
	case !ok:
		return nil, vkey.SWWrongData
	case id == objectDiscovery && a.since(4, 0):
		return []byte(discovery), vkey.SWSuccess
	case needsPIN(id) && !s.pin:
		return nil, vkey.SWSecurity
	case a.objects[id] == nil:
		return nil, vkey.SWNotFound
	}
	return add(nil, tagData, a.objects[id]), vkey.SWSuccess
}

// putData is PUT DATA; without a byte of data it deletes.
func (a *Applet) putData(s *session, c vkey.APDU) ([]byte, uint16) {
	if !s.admin {
		return nil, vkey.SWSecurity
	}
	if c.P1 != p1Data || c.P2 != p2Data {
		return nil, swWrongP1P2
	}
	items, ok := parse(c.Data)
	if !ok {
		return nil, vkey.SWWrongData
	}
	id, ok := objectOf(items)
	data := find(items, tagData)
	known := id >= objectFirst && id <= objectLast || id >= objectYubicoFirst && id <= objectYubicoLast && a.since(4, 0)
	if !ok || data == nil || !known {
		return nil, vkey.SWWrongData
	}
	if len(data) == 0 {
		delete(a.objects, id)
		return nil, vkey.SWSuccess
	}
	limit, all := maxObject, len(data)
	if !a.since(4, 0) {
		limit = maxOldObject
	}
	for other, b := range a.objects {
		if other != id {
			all += len(b)
		}
	}
	if len(data) > limit || all > maxObjects {
		return nil, swFull
	}
	a.objects[id] = bytes.Clone(data)
	return nil, vkey.SWSuccess
}
