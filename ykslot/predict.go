package ykslot

import (
	"crypto/subtle"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// strongReference is what SendRef types beside StrongPW2, instead of the ModHex letters. Source: reference yubikey-otp.md §3.2.
const strongReference = "!"

// strongDigits is how many of the ModHex letters StrongPW2 turns into digits. Source: reference yubikey-otp.md §3.3.
const strongDigits = 8

// Press predicts what one touch types, as ReadPressOf gives it: by the US layout, with tabs, without Enter at the end.
// movingFactor is that of an HOTP code; other modes do not look at it. False for what cannot be predicted: Yubico OTPs and
// challenge-response. A scan map other than the default changes what is typed. The caller destroys the result.
func (c Config) Press(movingFactor int64) (secret.Bytes, bool) {
	return c.PressBy(ScanMap{}, movingFactor)
}

// PressBy is as Press for a key with a scan map, read by ScanMap.Input: its scan-code passwords do not go by the map, but are read by it.
func (c Config) PressBy(m ScanMap, movingFactor int64) (secret.Bytes, bool) {
	switch c.Mode() {
	case ModeScanCodes:
		return c.frame(nil, c.typedStrokes(m)), true
	case ModeStatic:
		fixed, body, ok := c.ticketText()
		return c.frame(fixed, body), ok
	case ModeHOTP:
		if c.Key.Len() != KeyLen || c.UID.Len() != UIDLen {
			return secret.Bytes{}, false
		}
		seed := c.seed()
		defer seed.Destroy()
		g, err := oath.New(seed, oath.SHA1, c.Digits())
		if err != nil {
			return secret.Bytes{}, false
		}
		return c.frame([]byte(c.TokenID().String()), []byte(g.Code(movingFactor))), true
	}
	return secret.Bytes{}, false
}

// MatchPress finds which of the moving factors from … from+window an HOTP press was made with. Typed is as ReadPressOf gives it.
func (c Config) MatchPress(typed string, from int64, window int) (movingFactor int64, ok bool) {
	for m := from; m <= from+int64(window); m++ {
		text, ok := c.Press(m)
		if !ok {
			return 0, false
		}
		same := subtle.ConstantTimeCompare(text.Reveal(), []byte(typed)) == 1
		text.Destroy()
		if same {
			return m, true
		}
	}
	return 0, false
}

// frame puts the ticket flags' tabs and the reference around the two parts of a press. Source: reference yubikey-otp.md §3.2.
func (c Config) frame(fixed, body []byte) secret.Bytes {
	defer clear(body)
	out := make([]byte, 0, 3+len(modhex.Alphabet)+len(fixed)+len(body))
	tab := func(flag TicketFlag) {
		if c.Ticket&flag != 0 {
			out = append(out, '\t')
		}
	}
	tab(TabFirst)
	if c.Flags.Config&SendRef != 0 && c.Mode() == ModeStatic {
		if c.Flags.Config&StrongPW2 != 0 {
			out = append(out, strongReference...)
		} else {
			out = append(out, modhex.Alphabet...)
		}
	}
	out = append(out, fixed...)
	tab(AppendTab1)
	out = append(out, body...)
	tab(AppendTab2)
	return secret.New(out)
}

// typedStrokes is a scan-code password by the US layout, read by a scan map; 0 types nothing.
func (c Config) typedStrokes(m ScanMap) []byte {
	us, _ := keyboard.Lookup("us")
	strokes := c.strokes()
	defer strokes.Destroy()
	for i, s := range strokes.Reveal() {
		strokes.Reveal()[i] = m.usual(s)
	}
	return us.Decode(strokes).Reveal()
}

// ticketText is the fixed part and the encrypted block of a static ticket, with the strong-password flags applied to both as
// one text: first the digits, then the upper case of the first two letters that are left. Source: reference yubikey-otp.md
// §4.3; in which order the key does it is not documented.
func (c Config) ticketText() (fixed, body []byte, ok bool) {
	cipher, err := yubiotp.NewCipher(c.Key, c.UID)
	if err != nil {
		return nil, nil, false
	}
	defer cipher.Destroy()
	// All ones in the 8 bytes between the private ID and the CRC.
	block := cipher.Seal(yubiotp.Token{UseCounter: 0xFFFF, CapsFlag: true, Timestamp: 0xFFFFFF, SessionCounter: 0xFF, Random: 0xFFFF})
	text := modhex.AppendEncode(nil, c.Fixed)
	n := len(text)
	text = modhex.AppendEncode(text, block[:])
	if c.Flags.Config&ShortTicket != 0 {
		text = text[:n+yubiotp.BlockLen]
	}
	upper := 0
	for i, b := range text {
		v := strings.IndexByte(modhex.Alphabet, b)
		switch {
		case v < strongDigits && c.Flags.Config&StrongPW2 != 0:
			text[i] = '0' + byte(v)
		case upper < 2 && c.Flags.Config&StrongPW1 != 0:
			text[i] = b - 'a' + 'A'
			upper++
		}
	}
	return text[:n:n], text[n:], true
}
