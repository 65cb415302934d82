package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"errors"

	rad "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"
)

// Places in a packet: code [1], identifier [1], length [2, big endian], authenticator [16], then attributes of type [1],
// length [1, with these two] and value. Source: RFC 2865 §3, §5.
const (
	lenAt      = 2
	authAt     = 4
	attrsAt    = 20
	avpHeadLen = 2
	macLen     = md5.Size // of a Message-Authenticator, HMAC-MD5: RFC 3579 §3.2
)

var (
	errSize   = errors.New("the answer is too long for a packet")
	errPacket = errors.New("malformed packet")
)

// frame is a packet without what follows its length, which is padding and does not count: RFC 2865 §3. It is false if the packet or an
// attribute has no right length, and does so little that anybody may ask for it.
func frame(b []byte) (raw []byte, ok bool) {
	if len(b) < attrsAt {
		return nil, false
	}
	length := int(b[lenAt])<<8 | int(b[lenAt+1])
	if length < attrsAt || length > min(len(b), rad.MaxPacketLength) {
		return nil, false
	}
	raw = b[:length]
	for at := attrsAt; at < length; at += int(raw[at+1]) {
		if length-at < avpHeadLen || raw[at+1] < avpHeadLen || int(raw[at+1]) > length-at {
			return nil, false
		}
	}
	return raw, true
}

// parse reads a packet.
func parse(b []byte) (raw []byte, p *rad.Packet, err error) {
	raw, ok := frame(b)
	if !ok {
		return nil, nil, errPacket
	}
	if p, err = rad.Parse(raw, nil); err != nil {
		return nil, nil, err
	}
	return raw, p, nil
}

// macAt is where the value of the one Message-Authenticator begins in a packet that frame took; false if there is not one alone, or it
// has another length.
func macAt(raw []byte) (int, bool) {
	found := 0
	for at := attrsAt; at < len(raw); at += int(raw[at+1]) {
		if rad.Type(raw[at]) != rfc2869.MessageAuthenticator_Type {
			continue
		}
		if found > 0 || raw[at+1] != avpHeadLen+macLen {
			return 0, false
		}
		found = at + avpHeadLen
	}
	return found, found > 0
}

// macOf is the Message-Authenticator of a packet whose own is at an offset: over all of it, with zeros there.
func macOf(raw []byte, at int, secret []byte) []byte {
	h := hmac.New(md5.New, secret)
	h.Write(raw[:at])
	h.Write(make([]byte, macLen))
	h.Write(raw[at+macLen:])
	return h.Sum(nil)
}

// authentic reports whether a request that frame took was made with the secret.
func authentic(raw, secret []byte) bool {
	at, ok := macAt(raw)
	return ok && hmac.Equal(macOf(raw, at, secret), raw[at:at+macLen])
}

// authenticAnswer reports whether an answer that frame took is that of the request, whose authenticator is given, by the secret: its
// Message-Authenticator, without which it could be forged (CVE-2024-3596), and its own authenticator.
func authenticAnswer(raw []byte, request [16]byte, secret []byte) bool {
	asked := append([]byte(nil), raw...)
	copy(asked[authAt:], request[:])
	return authentic(asked, secret) && hmac.Equal(answerAuthenticator(asked, secret), raw[authAt:attrsAt])
}

// answerAuthenticator is MD5 over the answer, which has the request's authenticator in its place, and the secret: RFC 2865 §3.
func answerAuthenticator(raw, secret []byte) []byte {
	h := md5.New()
	h.Write(raw)
	h.Write(secret)
	return h.Sum(nil)
}

// seal writes a packet with a Message-Authenticator as its first attribute: so nobody can put anything before it that makes two packets
// collide. p has none; its authenticator is the request's.
func seal(p *rad.Packet, secret []byte) ([]byte, error) {
	first := &rad.AVP{Type: rfc2869.MessageAuthenticator_Type, Attribute: make(rad.Attribute, macLen)}
	q := *p
	q.Attributes = append(rad.Attributes{first}, p.Attributes...)
	raw, err := q.MarshalBinary()
	if err != nil {
		return nil, errSize
	}
	const at = attrsAt + avpHeadLen
	copy(raw[at:], macOf(raw, at, secret))
	return raw, nil
}

// sealAnswer writes the answer to a request: Message-Authenticator, what there is to say, and every Proxy-State of the request in its
// order (RFC 2865 §5.33). What a refusal says is left out if it does not fit; what is granted never is.
func sealAnswer(request *rad.Packet, code rad.Code, say rad.Attributes, secret []byte) ([]byte, error) {
	p := request.Response(code)
	states := rad.Attributes{}
	for _, a := range request.Attributes {
		if a.Type == rfc2865.ProxyState_Type {
			states = append(states, a)
		}
	}
	p.Attributes = append(append(rad.Attributes{}, say...), states...)
	raw, err := seal(p, secret)
	if err != nil && code == rad.CodeAccessReject {
		p.Attributes = states
		raw, err = seal(p, secret)
	}
	if err != nil {
		return nil, err
	}
	copy(raw[authAt:], answerAuthenticator(raw, secret))
	return raw, nil
}
