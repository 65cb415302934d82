package yubiotp

// CRCResidual is CRC16 over data followed by its complemented CRC, low byte first, when both are intact. Source:
// reference yubikey-otp.md §1.5.
const CRCResidual = 0xF0B8

// CRC16 is the check of frames, slot configurations, responses and tokens: start value FFFF, reflected polynomial 8408,
// no final XOR. Frames store it as it is; everything else stores the complement. Source: reference yubikey-otp.md §1.5.
func CRC16(data []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, b := range data {
		crc ^= uint16(b)
		for range 8 {
			lsb := crc & 1
			crc >>= 1
			crc ^= 0x8408 & -lsb
		}
	}
	return crc
}
