package vkey

// management is the Management applet, reference yubikey-otp.md §7.1.
type management struct{ k *Key }

const (
	aidManagement = "\xa0\x00\x00\x05\x27\x47\x11\x17"
	insMode       = 0x16 // P1 is command 11
	insWriteInfo  = 0x1c
	insReadInfo   = 0x1d // P1 is the page
)

func (*management) AID() []byte { return []byte(aidManagement) }

// Select answers a text that ends in the version.
func (m *management) Select(Transport) ([]byte, uint16) {
	text := []byte("Virtual mgr - FW version " + m.k.profile.Version.String())
	if m.k.profile.Quirks&TwiceSW != 0 {
		text = append(text, SWSuccess>>8, SWSuccess&0xff)
	}
	return text, SWSuccess
}

func (m *management) Run(_ Transport, a APDU) ([]byte, uint16) {
	k := m.k
	if k.profile.Quirks&StuckManagement != 0 {
		return nil, SWNoInstruction
	}
	switch {
	case a.INS == insReadInfo && k.profile.Has(ReadInfo):
		return k.deviceInfo(a.P1), SWSuccess
	case a.INS == insWriteInfo && k.profile.Has(WriteInfo):
		if !k.writeInfo(a.Data) {
			return nil, SWSecurity
		}
		k.counted(cmdWriteInfo)
		return nil, SWSuccess
	case a.INS == insMode && a.P1 == cmdMode && k.profile.Has(ModeSwitch):
		var p payload
		copy(p[:], a.Data)
		if !k.writeMode(&p) {
			return nil, SWConditions
		}
		k.counted(cmdMode)
		return nil, SWSuccess
	}
	return nil, SWNoInstruction
}
