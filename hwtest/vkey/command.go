package vkey

// Slot commands, reference yubikey-otp.md §2. All others are rejected: status and ProgSeq stay as they are.
const (
	cmdWrite1     = 0x01
	cmdWrite2     = 0x03
	cmdUpdate1    = 0x04
	cmdUpdate2    = 0x05
	cmdSwap       = 0x06
	cmdNDEF1      = 0x08
	cmdNDEF2      = 0x09
	cmdSerial     = 0x10
	cmdMode       = 0x11
	cmdScanMap    = 0x12
	cmdDeviceInfo = 0x13
	cmdFIPSMode   = 0x14 // 4.4.x FIPS only, which is not here
	cmdWriteInfo  = 0x15
	cmdYubico1    = 0x20
	cmdYubico2    = 0x28
	cmdHMAC1      = 0x30
	cmdHMAC2      = 0x38
)

// knows says whether the firmware has the command, §2 and §3.4.
func (p Profile) knows(cmd byte) bool {
	switch cmd {
	case cmdWrite1:
		return true
	case cmdWrite2:
		return p.Has(Slot2)
	case cmdSerial:
		return p.Has(ReadSerial)
	case cmdYubico1, cmdYubico2, cmdHMAC1, cmdHMAC2:
		return p.Has(Challenges)
	case cmdUpdate1, cmdUpdate2, cmdSwap:
		return p.Has(Updates)
	case cmdNDEF1:
		return p.Has(NDEF)
	case cmdNDEF2:
		return p.Has(NDEF) && p.Has(Slot2)
	case cmdScanMap:
		return p.Has(ScanMap)
	case cmdMode:
		return p.Has(ModeSwitch)
	case cmdDeviceInfo:
		return p.Has(ReadInfo)
	case cmdWriteInfo:
		return p.Has(WriteInfo)
	}
	return false
}

// run executes a frame. A command that is rejected changes nothing: the next GET is the old status. While the interface
// is reclaimed after the card was used, all are.
func (k *Key) run(cmd byte, p *payload) {
	k.response, k.wait = nil, nil
	k.lastCommand, k.lastData = cmd, *p
	if !k.profile.knows(cmd) || k.reclaiming() {
		return
	}
	before := k.status()
	k.shownSeq = k.progSeq
	switch cmd {
	case cmdSerial:
		if k.serialVisible() {
			k.respond(k.serialBytes())
		}
	case cmdDeviceInfo:
		k.respond(k.deviceInfo(p[0]))
	case cmdYubico1, cmdHMAC1:
		k.challenge(0, cmd, p)
	case cmdYubico2, cmdHMAC2:
		k.challenge(1, cmd, p)
	default:
		if k.write(cmd, p) {
			k.counted(cmd)
			k.pause(before)
		}
	}
}

// write executes a write command and says whether it was accepted.
func (k *Key) write(cmd byte, p *payload) bool {
	switch cmd {
	case cmdWrite1:
		return k.program(0, p)
	case cmdWrite2:
		return k.program(1, p)
	case cmdUpdate1:
		return k.update(0, p)
	case cmdUpdate2:
		return k.update(1, p)
	case cmdSwap:
		return k.swap(p[offCurrent : offCurrent+codeLen])
	case cmdNDEF1:
		return k.writeNDEF(0, p)
	case cmdNDEF2:
		return k.writeNDEF(1, p)
	case cmdScanMap:
		return k.writeScanMap(p)
	case cmdMode:
		return k.writeMode(p)
	case cmdWriteInfo:
		return k.writeInfo(p[:])
	}
	return false
}
