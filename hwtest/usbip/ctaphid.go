package usbip

import (
	"encoding/binary"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// CTAPHID, FIDO CTAP 2.1 §11.2: a packet is channel[4] ‖ command with bit 80 ‖ length BE[2] ‖ 57 bytes of data, and those
// that follow channel[4] ‖ number ‖ 59 bytes.
const (
	ctapPacket    = 64
	ctapFirst     = 57
	ctapRest      = 59
	ctapPing      = 0x81
	ctapInit      = 0x86
	ctapError     = 0xbf
	ctapReadInfo  = 0xc2 // Yubico's: device info, §7.1
	ctapWriteInfo = 0xc3
	ctapNonce     = 8
	ctapVersion   = 2
	ctapNoMSG     = 0x08 // capability: no U2F messages
	ctapBroadcast = 0xffffffff
	ctapChannel   = 0x00000001
	errCommand    = 0x01
	errLength     = 0x03
	errOther      = 0x7f
)

// answerFIDO answers as much as lets a client open the interface and ask which key it is: INIT, a PING of one packet and
// Yubico's device info, read and written. Any other command is an error, packets that only go on are ignored.
func answerFIDO(k *vkey.Key, packet []byte) [][]byte {
	if len(packet) < ctapPacket-ctapFirst || packet[4]&0x80 == 0 {
		return nil
	}
	channel, command := binary.BigEndian.Uint32(packet), packet[4]
	n := int(binary.BigEndian.Uint16(packet[5:]))
	data := packet[7:]
	if n > len(data) {
		return ctapAnswer(channel, ctapError, []byte{errLength})
	}
	data = data[:n]
	switch {
	case command == ctapInit && n == ctapNonce:
		v := k.Profile().Version
		body := append([]byte(nil), data...)
		body = binary.BigEndian.AppendUint32(body, ctapChannel)
		return ctapAnswer(channel, ctapInit, append(body, ctapVersion, v.Major, v.Minor, v.Build, ctapNoMSG))
	case channel == ctapBroadcast:
	case command == ctapPing:
		return ctapAnswer(channel, ctapPing, data)
	case command == ctapReadInfo && k.Profile().Has(vkey.ReadInfo):
		page := byte(0)
		if n > 0 {
			page = data[0]
		}
		return ctapAnswer(channel, ctapReadInfo, k.DeviceInfo(page))
	case command == ctapWriteInfo && k.Profile().Has(vkey.WriteInfo):
		if !k.WriteDeviceInfo(data) {
			return ctapAnswer(channel, ctapError, []byte{errOther})
		}
		return ctapAnswer(channel, ctapWriteInfo, nil)
	}
	return ctapAnswer(channel, ctapError, []byte{errCommand})
}

// ctapAnswer cuts an answer into packets of 64 bytes.
func ctapAnswer(channel uint32, command byte, data []byte) (packets [][]byte) {
	b := append(binary.BigEndian.AppendUint32(nil, channel), command)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	first := min(ctapFirst, len(data))
	packets = append(packets, padded(append(b, data[:first]...)))
	data = data[first:]
	for n := byte(0); len(data) > 0; n++ {
		b := append(binary.BigEndian.AppendUint32(nil, channel), n)
		part := min(ctapRest, len(data))
		packets = append(packets, padded(append(b, data[:part]...)))
		data = data[part:]
	}
	return packets
}

func padded(b []byte) []byte { return append(b, make([]byte, ctapPacket-len(b))...) }
