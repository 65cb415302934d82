package pivapplet

import "github.com/tokendesk/tokendesk/hwtest/vkey"

// Tags of metadata, Yubico's "PIV extensions".
const (
	metaAlgorithm = 0x01
	metaPolicy    = 0x02 // PIN ‖ touch
	metaOrigin    = 0x03
	metaPublic    = 0x04
	metaDefault   = 0x05
	metaTries     = 0x06 // all ‖ left

	algorithmPIN    = 0xff
	originGenerated = 1
	originImported  = 2
)

// metadata is Yubico's F7: P2 is a slot, or 80 the PIN, 81 the PUK, 9B the management key; 6a88 for an empty slot. The algorithm
// of the management key is told from 5.4 on, with which AES came (yubikit takes 3DES where it misses).
func (a *Applet) metadata(_ *session, c vkey.APDU) ([]byte, uint16) {
	if c.P1 != 0 {
		return nil, swWrongP1P2
	}
	switch c.P2 {
	case refPIN:
		return a.pin.metadata(), vkey.SWSuccess
	case refPUK:
		return a.puk.metadata(), vkey.SWSuccess
	case slotManagement:
		var b []byte
		if a.since(5, 4) {
			b = add(b, metaAlgorithm, []byte{byte(a.management.alg)})
		}
		b = add(b, metaPolicy, []byte{0, a.management.touch})
		return add(b, metaDefault, flag(a.management.isFactory())), vkey.SWSuccess
	}
	if !a.has(c.P2) {
		return nil, swWrongP1P2
	}
	k := a.keys[c.P2]
	if k == nil {
		return nil, swNoReference
	}
	origin := byte(originImported)
	if k.generated {
		origin = originGenerated
	}
	b := add(nil, metaAlgorithm, []byte{byte(k.alg)})
	b = add(b, metaPolicy, []byte{k.pin, k.touch})
	b = add(b, metaOrigin, []byte{origin})
	return add(b, metaPublic, k.encode()), vkey.SWSuccess
}

func (r *reference) metadata() []byte {
	b := add(nil, metaAlgorithm, []byte{algorithmPIN})
	b = add(b, metaDefault, flag(r.value == padded(r.factory)))
	return add(b, metaTries, []byte{byte(r.total), byte(r.left)})
}

func (m *managementKey) isFactory() bool { return string(m.value) == FactoryManagementKey }

func flag(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}
