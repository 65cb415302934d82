package radius

import (
	"testing"

	rad "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

// TestFloodIsCheap: what comes from nowhere, or is signed by nobody, is not taken apart.
func TestFloodIsCheap(t *testing.T) { // alone, as allocations are counted
	w := newWorld(t)
	packet := make([]byte, rad.MaxPacketLength)
	packet[0], packet[lenAt] = byte(rad.CodeAccessRequest), rad.MaxPacketLength>>8
	for at := attrsAt; at < len(packet); at += avpHeadLen { // 2,038 attributes
		packet[at], packet[at+1] = byte(rfc2865.ProxyState_Type), avpHeadLen
	}
	packet[attrsAt+1] = avpHeadLen + macLen
	packet[attrsAt] = byte(rfc2869.MessageAuthenticator_Type)
	for name, d := range map[string]device{"nowhere": {"198.51.100.1:1", ""}, "a device's address": gate} {
		if n := testing.AllocsPerRun(10, func() { w.send(d, packet) }); n > 50 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
