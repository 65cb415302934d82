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
	cmdYubico1    = 0x20
	cmdYubico2    = 0x28
	cmdHMAC1      = 0x30
	cmdHMAC2      = 0x38
)

// since is the first firmware that knows a command, §2 and §3.4; NDEF also needs the radio.
func since(cmd byte) (Version, bool) {
	switch cmd {
	case cmdWrite1:
		return Version{1, 0, 0}, true
	case cmdWrite2:
		return Version{2, 0, 0}, true
	case cmdSerial, cmdYubico1, cmdYubico2, cmdHMAC1, cmdHMAC2:
		return Version{2, 2, 0}, true
	case cmdUpdate1, cmdUpdate2, cmdSwap:
		return Version{2, 3, 0}, true
	case cmdMode, cmdScanMap, cmdNDEF1, cmdNDEF2:
		return Version{3, 0, 0}, true
	case cmdDeviceInfo:
		return Version{4, 1, 0}, true
	}
	return Version{}, false
}

// run executes a frame. A command that is rejected changes nothing: the next GET is the old status.
func (k *Key) run(cmd byte, p *payload) {
	k.response, k.wait = nil, nil
	from, known := since(cmd)
	if !known || k.profile.Version.Less(from) {
		return
	}
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
		before := k.status()
		if k.write(cmd, p) {
			k.written(before)
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
	}
	return false
}
