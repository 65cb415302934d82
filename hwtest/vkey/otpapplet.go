package vkey

// otpApplet is slots over the card, reference yubikey-otp.md §5.
type otpApplet struct{ k *Key }

const (
	aidOTP        = "\xa0\x00\x00\x05\x27\x20\x01"
	insSlot       = 0x01 // P1 is a slot command
	insSlotStatus = 0x03
)

func (*otpApplet) AID() []byte { return []byte(aidOTP) }

func (o *otpApplet) Enabled(by Transport) bool { return o.k.enabled(by)&capOTP != 0 }

// Select answers the status; with ModeInSelect mode, crTimeout and autoEject, u16 little endian, follow.
func (o *otpApplet) Select(by Transport) ([]byte, uint16) {
	k := o.k
	if by == OverNFC && k.profile.Quirks&GarbledStatus != 0 {
		return []byte("\xaf\x5c\x62\x50\xc3\xa8"), SWSuccess
	}
	data := k.cardStatus()
	if k.profile.Quirks&ModeInSelect != 0 {
		data = append(data, k.mode, byte(k.timeout.Seconds()), byte(k.autoEject), byte(k.autoEject>>8))
	}
	return data, SWSuccess
}

func (o *otpApplet) Run(by Transport, a APDU) ([]byte, uint16) {
	switch a.INS {
	case insSlotStatus:
		return o.k.cardStatus(), SWSuccess
	case insSlot:
		if len(a.Data) > payloadLen {
			return nil, SWWrongLength
		}
		return o.slot(by, a)
	}
	return nil, SWNoInstruction
}

// slot runs a slot command. A query that has no answer, such as a hidden serial number or a challenge to an empty slot, is
// 9000 without data, as the Java card does it.
func (o *otpApplet) slot(by Transport, a APDU) ([]byte, uint16) {
	k, cmd := o.k, a.P1
	var p payload
	copy(p[:], a.Data)
	k.lastCommand, k.lastData = cmd, p
	if !k.profile.knows(cmd) {
		return nil, SWWrongP1P2
	}
	switch cmd {
	case cmdSerial:
		if k.serialVisible() {
			return k.serialBytes(), SWSuccess
		}
		return nil, SWSuccess
	case cmdDeviceInfo:
		return k.deviceInfo(p[0]), SWSuccess
	case cmdYubico1, cmdHMAC1:
		return o.challenge(by, 0, cmd, &p)
	case cmdYubico2, cmdHMAC2:
		return o.challenge(by, 1, cmd, &p)
	}
	if by == OverUSB && k.profile.Quirks&CardReadOnly != 0 {
		return nil, SWConditions
	}
	return o.write(cmd, &p)
}

func (o *otpApplet) write(cmd byte, p *payload) ([]byte, uint16) {
	k := o.k
	if !k.write(cmd, p) {
		if k.profile.Quirks&WarnUnchanged != 0 {
			return nil, SWUnchanged
		}
	} else {
		k.counted(cmd)
		k.cardWrote = true
	}
	if k.profile.Quirks&SilentWrite != 0 {
		return nil, SWSuccess
	}
	return k.cardStatus(), SWSuccess
}

// challenge answers over NFC only (§3.4). A touch is what holds the key to the reader: it needs no wait.
func (o *otpApplet) challenge(by Transport, i int, cmd byte, p *payload) ([]byte, uint16) {
	if by == OverUSB {
		return nil, SWConditions
	}
	s := &o.k.slots[i]
	if !o.k.answers(s, cmd) {
		return nil, SWSuccess
	}
	return o.k.solve(s, p), SWSuccess
}

// cardStatus is version[3] ‖ ProgSeq ‖ touch level LE[2].
func (k *Key) cardStatus() []byte {
	v, seq := k.profile.Version, k.progSeq
	if k.profile.Quirks&OldApplet != 0 {
		v = Version{v.Major, v.Minor - min(v.Minor, 1), 0}
	}
	if k.profile.Quirks&CardStale != 0 && k.cardWrote {
		seq = 0
	}
	return []byte{v.Major, v.Minor, v.Build, seq, k.touchLevel(), statusHigh}
}
