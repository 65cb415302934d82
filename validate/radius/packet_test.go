package radius

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	rad "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

// The packets of RFC 2865 §7.1, an Access-Request of nemo with the password arctangent, and of RFC 5997 §6.1, a Status-Server and the
// answer to it, without Message-Authenticator. Their secret is xyzzy5461.
const (
	vectorSecret = "xyzzy5461"
	vectorPAP    = `01000038 0f403f94739780 57bd83d5cb98f4227a 01066e656d6f 02120dbe708d93d413ce3196e43f782a0aee 0406c0a80110 050600000003`
	vectorStatus = `0cda0026 8a54f4686fb394c52866e302185d0623 50125a665e2e1e8411f3e243822097c84fa3`
	vectorAlive  = `02da0014 ef0d552a4bf2d693ec2b6fe8b5411d66`
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, b []byte) ([]byte, *rad.Packet) {
	t.Helper()
	raw, p, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return raw, p
}

func TestVectors(t *testing.T) {
	t.Parallel()
	raw, p := mustParse(t, unhex(t, vectorPAP))
	name, typed, ok := pap(request{packet: p, secret: []byte(vectorSecret)})
	if name != "nemo" || typed != "arctangent" || !ok {
		t.Errorf("%q, %q, %v", name, typed, ok)
	}
	if _, ok := macAt(raw); ok {
		t.Error("a Message-Authenticator where there is none")
	}
	raw, p = mustParse(t, append(unhex(t, vectorStatus), "padding"...))
	if !authentic(raw, []byte(vectorSecret)) || authentic(raw, []byte("xyzzy5462")) || p.Code != rad.CodeStatusServer {
		t.Error("the Status-Server is not authentic")
	}
	alive, q := mustParse(t, unhex(t, vectorAlive))
	asked := append([]byte(nil), alive...)
	copy(asked[authAt:], p.Authenticator[:])
	if !bytes.Equal(answerAuthenticator(asked, []byte(vectorSecret)), q.Authenticator[:]) {
		t.Error("the authenticator of the answer")
	}
	if authenticAnswer(alive, p.Authenticator, []byte(vectorSecret)) {
		t.Error("an answer without Message-Authenticator counts")
	}
}

// TestSealAnswer: what another library finds in an answer.
func TestSealAnswer(t *testing.T) {
	t.Parallel()
	secret := []byte("a secret of some length")
	r := rad.New(rad.CodeAccessRequest, secret)
	for _, s := range []string{"first", "", "third"} {
		r.Add(rfc2865.ProxyState_Type, rad.Attribute(s))
	}
	sent, err := seal(r, secret)
	if err != nil || !authentic(sent, secret) || rad.Type(sent[attrsAt]) != rfc2869.MessageAuthenticator_Type {
		t.Fatal("the request", err)
	}
	raw, err := sealAnswer(r, rad.CodeAccessReject, reply("no"), secret)
	if err != nil || !rad.IsAuthenticResponse(raw, sent, secret) || !authenticAnswer(raw, r.Authenticator, secret) {
		t.Fatal("the answer", err)
	}
	_, p := mustParse(t, raw)
	var got []string
	for _, a := range p.Attributes[1:] {
		got = append(got, string(a.Attribute))
	}
	if p.Attributes[0].Type != rfc2869.MessageAuthenticator_Type || strings.Join(got, "|") != "no|first||third" || p.Identifier != r.Identifier {
		t.Errorf("%q", got)
	}
	for i := range raw { // each bit counts
		raw[i] ^= 1
		if again, _, err := parse(raw); err == nil && authenticAnswer(again, r.Authenticator, secret) {
			t.Errorf("byte %d does not count", i)
		}
		raw[i] ^= 1
	}
}

// TestSealAnswerLong: Proxy-State goes before what there is to say.
func TestSealAnswerLong(t *testing.T) {
	t.Parallel()
	r := rad.New(rad.CodeAccessRequest, nil)
	for range 15 {
		r.Add(rfc2865.ProxyState_Type, make(rad.Attribute, 253))
	}
	r.Add(rfc2865.ProxyState_Type, make(rad.Attribute, 200)) // 4065 bytes with the Message-Authenticator
	raw, err := sealAnswer(r, rad.CodeAccessReject, reply(strings.Repeat("x", 100)), []byte("x"))
	if err != nil || len(raw) != 4065 || bytes.Contains(raw, []byte("xx")) {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	r.Add(rfc2865.ProxyState_Type, make(rad.Attribute, 100))
	if _, err := sealAnswer(r, rad.CodeAccessReject, nil, []byte("x")); err == nil {
		t.Error("a packet of more than 4096 bytes")
	}
}

// FuzzParse: no packet does harm, and none that nobody signed is authentic; with its Message-Authenticator corrected it is.
func FuzzParse(f *testing.F) {
	for _, v := range []string{vectorPAP, vectorStatus, vectorAlive, "", "01000014" + strings.Repeat("00", 16), vectorStatus + "50", "0c000028" + strings.Repeat("00", 16) + "5012"} {
		f.Add(unhex(f, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		secret := []byte("not in any seed")
		raw, p, err := parse(b)
		if _, other := rad.Parse(b, nil); (err == nil) != (other == nil) {
			t.Errorf("%v, and another library says %v", err, other)
		}
		if err != nil {
			if raw != nil || p != nil {
				t.Error("an error with a packet")
			}
			return
		}
		if authentic(raw, secret) {
			t.Error("authentic")
		}
		if at, ok := macAt(raw); ok {
			raw = append([]byte(nil), raw...)
			copy(raw[at:], macOf(raw, at, secret))
			if !authentic(raw, secret) {
				t.Error("signed, and not authentic")
			}
		}
		if answer, err := sealAnswer(p, rad.CodeAccessReject, reply("no"), secret); err == nil && !authenticAnswer(answer, p.Authenticator, secret) {
			t.Error("the answer is not authentic")
		}
		pap(request{packet: p, secret: secret})
	})
}
