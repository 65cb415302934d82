package radius

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rad "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2868"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate"
)

const upstreamShared = "shared with upstream"

// upstream is a server of the test's own on loopback, which answers each request with what it is told to. One that is sent again, as on a
// busy machine, gets the same answers.
func upstream(t *testing.T, answers func(asked []byte, p *rad.Packet) [][]byte) string {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, rad.MaxPacketLength)
		given := map[string][][]byte{}
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			raw, p, err := parse(append([]byte(nil), buf[:n]...))
			if err != nil || !authentic(raw, []byte(upstreamShared)) {
				t.Error("the upstream server was asked without a right Message-Authenticator")
				return
			}
			again, ok := given[string(raw)]
			if !ok {
				again = answers(raw, p)
				given[string(raw)] = again
			}
			for _, a := range again {
				_, _ = conn.WriteToUDPAddrPort(a, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// splitRequest is one of a device whose passwords are checked at an address.
func splitRequest(t *testing.T, address string) request {
	_, p := mustParse(t, gate.request(t, "ada@example.org", "unused123456",
		&rad.AVP{Type: rfc2865.ProxyState_Type, Attribute: rad.Attribute("proxy")}, &rad.AVP{Type: rfc2865.NASIdentifier_Type, Attribute: rad.Attribute("gate")}))
	n := validate.NAS{UpstreamSecret: secret.Copy([]byte(upstreamShared)), NASRules: validate.NASRules{Password: validate.PasswordUpstream, CodeLen: 6, OTPLen: 44, Upstream: address}}
	return request{nas: n, packet: p, secret: []byte(newShared)}
}

// TestUpstream: the password goes there as it was typed, with what the device said of itself; what comes back for the device is given to
// it, what is bound to the exchange is not.
func TestUpstream(t *testing.T) {
	t.Parallel()
	grants := rad.Attributes{
		{Type: rfc2865.Class_Type, Attribute: rad.Attribute("staff")}, {Type: rfc2868.TunnelPassword_Type, Attribute: make(rad.Attribute, 19)},
		{Type: rfc2865.VendorSpecific_Type, Attribute: rad.Attribute("\x00\x00\x01\x37\x10\x0412")}, {Type: rfc2865.State_Type, Attribute: rad.Attribute("x")},
		{Type: rfc2865.VendorSpecific_Type, Attribute: rad.Attribute("\x00\x00\x00\x09\x01\x04ab")}, {Type: rfc2865.FilterID_Type, Attribute: rad.Attribute("vpn")},
	}
	var mu sync.Mutex
	var seen []string
	address := upstream(t, func(_ []byte, p *rad.Packet) [][]byte {
		password, err := rad.UserPassword(p.Get(rfc2865.UserPassword_Type), []byte(upstreamShared), p.Authenticator[:])
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, string(p.Get(rfc2865.UserName_Type)), string(password), string(p.Get(rfc2865.NASIdentifier_Type)), string(p.Get(rfc2865.ProxyState_Type)))
		code := rad.CodeAccessReject
		if string(password) == "pass" {
			code = rad.CodeAccessAccept
		}
		raw, err := sealAnswer(p, code, grants, []byte(upstreamShared))
		if err != nil {
			t.Error(err)
		}
		return [][]byte{raw}
	})
	ok, got, err := passes(t.Context(), splitRequest(t, address), "pass")
	var say []string
	for _, a := range got {
		say = append(say, string(a.Attribute))
	}
	mu.Lock()
	if !ok || err != nil || strings.Join(say, "|") != "staff|\x00\x00\x00\x09\x01\x04ab|vpn" || strings.Join(seen, "|") != "ada@example.org|pass|gate|" {
		t.Errorf("%v, %v, %q, %q", ok, err, say, seen)
	}
	mu.Unlock()
	for _, wrong := range []string{"Pass", "pass ", strings.Repeat("x", 129)} {
		if ok, got, err := passes(t.Context(), splitRequest(t, address), wrong); ok || got != nil || err != nil {
			t.Errorf("%q: %v, %v, %v", wrong, ok, got, err)
		}
	}
}

// TestUpstreamForged: only an answer with both authenticators right counts.
func TestUpstreamForged(t *testing.T) {
	t.Parallel()
	forged := func(p *rad.Packet) [][]byte {
		bare, err := p.Response(rad.CodeAccessAccept).Encode() // right, but for the Message-Authenticator: p has the secret
		if err != nil {
			t.Error(err)
		}
		other, err := sealAnswer(p, rad.CodeAccessAccept, nil, []byte("another secret"))
		if err != nil {
			t.Error(err)
		}
		right, err := sealAnswer(p, rad.CodeAccessAccept, nil, []byte(upstreamShared))
		if err != nil {
			t.Error(err)
		}
		wrongID := append([]byte(nil), right...)
		wrongID[1]++
		return [][]byte{{}, bare[:19], bare, other, wrongID}
	}
	address := upstream(t, func(_ []byte, p *rad.Packet) [][]byte {
		p.Secret = []byte(upstreamShared)
		raw, err := sealAnswer(p, rad.CodeAccessReject, nil, []byte(upstreamShared))
		if err != nil {
			t.Error(err)
		}
		return append(forged(p), raw)
	})
	if ok, _, err := passes(t.Context(), splitRequest(t, address), "pass"); ok || err != nil {
		t.Errorf("forged answers before an Access-Reject: %v, %v", ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address = upstream(t, func(_ []byte, p *rad.Packet) [][]byte {
		p.Secret = []byte(upstreamShared)
		time.AfterFunc(time.Second, cancel) // it has asked, and has time to read
		return forged(p)
	})
	if ok, _, err := passes(ctx, splitRequest(t, address), "pass"); ok || !errors.Is(err, errUpstream) {
		t.Errorf("only forged answers: %v, %v", ok, err)
	}
}

// TestPasswordAfterCode: a wrong code is told nobody upstream; a right one is used up whatever the password.
func TestPasswordAfterCode(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	address := upstream(t, func(_ []byte, p *rad.Packet) [][]byte {
		asked.Add(1)
		raw, err := sealAnswer(p, rad.CodeAccessReject, nil, []byte(upstreamShared))
		if err != nil {
			t.Error(err)
		}
		return [][]byte{raw}
	})
	w := newWorld(t)
	decide := func(typed string) verdict {
		_, p := mustParse(t, gate.request(t, "ada", typed))
		q := splitRequest(t, address)
		q.nas.Client, q.packet = 7, p
		return w.decide(t.Context(), q)
	}
	for typed, want := range map[string]validate.Reason{"pass654321": validate.ReasonWrong, "pass": validate.ReasonMalformed, rightCode: validate.ReasonMalformed} {
		if v := decide(typed); v.code != rad.CodeAccessReject || v.event.Reason != want {
			t.Errorf("%q: %+v", typed, v)
		}
	}
	if asked.Load() != 0 || w.spent {
		t.Errorf("asked %d times, spent: %v", asked.Load(), w.spent)
	}
	v := decide("pass" + rightCode)
	if v.code != rad.CodeAccessReject || v.event.Reason != validate.ReasonPassword || asked.Load() != 1 || !w.spent {
		t.Errorf("%+v, asked %d times", v, asked.Load())
	}
	if err := v.after(t.Context()); err != nil || w.kept[v.event.Support].Findings[0].Title != "password refused" {
		t.Errorf("%+v, %v", w.kept, err)
	}
	if !strings.HasPrefix(string(v.say[0].Attribute), "Not accepted. Support code: ") {
		t.Errorf("it is told that the code was right: %q", v.say[0].Attribute)
	}
}
