package main

import (
	"crypto/aes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// optionSet is what one write puts into a slot, drawn at random.
type optionSet struct {
	slot int
	kind string   // as --type
	mode string   // hmac, yubico, ticket, scan-codes; "" of kinds that have one mode
	on   []string // flags by the names that both programs have
	key  []byte
	uid  []byte // private ID
	id   []byte // public ID; of hotp the token identifier
	text string // static: the password
	code string // new access code in hexadecimal, or ""

	digits      int
	moving      int64
	tokenID     string // as --token-id
	modhex      int    // bytes of it in ModHex
	touch, full bool   // challenge-response: touch; messages of 64 bytes
}

// What the sets leave out, because this program refuses it on purpose:
//
//   - without SERIAL_API_VISIBLE the key could not be found again, so all sets have it;
//   - APPEND_DELAY1 and 2, SERIAL_BTN_VISIBLE, USE_NUMERIC_KEYPAD and MAN_UPDATE have no effect from firmware 3 on;
//   - FAST_TRIG is for slots that type;
//   - DORMANT without ALLOW_UPDATE could never be woken;
//   - a public ID has at least one byte and does not begin with 00, which is the factory's;
//   - seeds of HOTP and HMAC have 20 bytes: ykpersonalize takes no others.
//
// And because the walk could not go on: PROTECT_CFG2, which shuts the other slot for good; it is compared in ykslot.
type flagRule struct {
	name  string
	kinds string // of those that have it
	old   bool   // firmware 2 only
	later bool   // an update can change it
}

func flagRules() []flagRule {
	const typing = "yubico-otp hotp static"
	return []flagRule{
		{"append-cr", typing, false, true}, {"tab-first", typing, false, true}, {"append-tab1", typing, false, true},
		{"append-tab2", typing, false, true}, {"append-delay1", typing, true, true}, {"append-delay2", typing, true, true},
		{"pacing-10ms", typing, false, true}, {"pacing-20ms", typing, false, true}, {"use-numeric-keypad", typing, true, true},
		{"fast-trig", typing, false, true}, {"serial-usb-visible", typing + " challenge-response", false, true},
		{"serial-btn-visible", typing + " challenge-response", true, true}, {"allow-update", typing + " challenge-response", false, true},
		{"dormant", typing + " challenge-response", false, true}, {"led-inv", typing + " challenge-response", false, true},
		{"send-ref", "yubico-otp static", false, false}, {"short-ticket", "ticket", false, false}, {"strong-pw1", "ticket", false, false},
		{"strong-pw2", "ticket", false, false}, {"man-update", "ticket", true, false},
	}
}

// goes reports whether a set of the kind may have the flag on this firmware.
func (f flagRule) goes(s *optionSet, firmware string) bool {
	if f.old && !strings.HasPrefix(firmware, "2.") {
		return false
	}
	words := strings.Fields(f.kinds)
	return slices.Contains(words, s.kind) || slices.Contains(words, s.mode)
}

// drawSet draws a valid set.
func drawSet(r *rand.Rand, firmware string) *optionSet {
	s := &optionSet{slot: 1 + r.IntN(2), key: drawBytes(r, 16), uid: drawBytes(r, 6), on: []string{"serial-api-visible"}}
	switch r.IntN(6) {
	case 0, 1:
		s.kind, s.id = "yubico-otp", drawBytes(r, []int{6, 6, 1, 8, 12, 16}[r.IntN(6)])
	case 2:
		s.kind, s.key, s.digits, s.moving = "hotp", drawBytes(r, 20), 6+2*r.IntN(2), int64(r.IntN(2)*r.IntN(0x10000))*16
		s.drawTokenID(r)
	case 3:
		s.kind, s.mode, s.key, s.touch = "challenge-response", "hmac", drawBytes(r, 20), r.IntN(3) == 0
		if s.full = r.IntN(3) == 0; r.IntN(4) == 0 {
			s.mode, s.key, s.full = "yubico", drawBytes(r, 16), false
		}
	case 4:
		s.kind, s.mode = "static", "ticket"
		if n := r.IntN(17); n > 0 {
			s.id = drawBytes(r, n)
		}
	default:
		s.kind, s.mode = "static", "scan-codes"
		for range 1 + r.IntN(38) {
			s.text += string(usTyped[r.IntN(len(usTyped))])
		}
	}
	if r.IntN(3) == 0 {
		s.code = hex.EncodeToString(drawBytes(r, 6))
	}
	s.drawFlags(r, firmware, false)
	return s
}

// drawBytes draws bytes that are not zero.
func drawBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + r.IntN(255))
	}
	return b
}

// drawFlags draws the flags, for an update only those that one can change. The usual ones are usually on.
func (s *optionSet) drawFlags(r *rand.Rand, firmware string, update bool) {
	for _, f := range flagRules() {
		if !f.goes(s, firmware) || update && !f.later {
			continue
		}
		chance := 6
		switch f.name {
		case "append-cr", "fast-trig", "allow-update":
			chance = 1 + r.IntN(2)
		}
		s.drop(f.name)
		if r.IntN(chance) == 0 {
			s.on = append(s.on, f.name)
		}
	}
	if !s.has("allow-update") {
		s.drop("dormant")
	}
}

func (s *optionSet) drop(flag string) {
	s.on = slices.DeleteFunc(s.on, func(name string) bool { return name == flag })
}

// drawTokenID draws no identifier or one of 12 characters, whose first parts are in ModHex.
func (s *optionSet) drawTokenID(r *rand.Rand) {
	parts := r.IntN(5) // in ModHex; 4: no identifier
	if parts == 4 {
		return
	}
	s.modhex = []int{0, 1, 2, 6}[parts]
	for i := range 6 {
		b := byte(r.IntN(256))
		if i >= s.modhex {
			b = byte(r.IntN(10)<<4 | r.IntN(10))
			s.tokenID += fmt.Sprintf("%02x", b)
		} else {
			s.tokenID += toModHex([]byte{b})
		}
		s.id = append(s.id, b)
	}
}

func toModHex(b []byte) string {
	var out strings.Builder
	for _, c := range hex.EncodeToString(b) {
		n, _ := strconv.ParseUint(string(c), 16, 8) // of a digit
		out.WriteByte("cbdefghijklnrtuv"[n])
	}
	return out.String()
}

// usTyped are characters, and usCodes their usages on a US keyboard; with Shift, 80 more. Source: reference yubikey-otp.md §3.7.
const usTyped = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890 -=[];',./!@#$%^&*()_+{}:\"<>?"

func usCode(c byte) byte {
	i := strings.IndexByte(usTyped, c)
	switch {
	case i < 26:
		return 0x04 + byte(i)
	case i < 52:
		return 0x84 + byte(i-26)
	case i < 62:
		return 0x1e + byte(i-52)
	}
	return []byte{0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x33, 0x34, 0x36, 0x37, 0x38, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
		0xad, 0xae, 0xaf, 0xb0, 0xb3, 0xb4, 0xb6, 0xb7, 0xb8}[i-62]
}

// has reports whether a flag is on.
func (s *optionSet) has(flag string) bool { return slices.Contains(s.on, flag) }

// modHexKeys are the kernel's codes of the keys that type ModHex on a US keyboard, in the order of the digits. Source: Linux
// include/uapi/linux/input-event-codes.h.
var modHexKeys = [16]uint16{46, 48, 32, 18, 33, 34, 35, 23, 36, 37, 38, 49, 19, 20, 22, 47}

const ticketStrokes = 32

// sameTyped compares two presses. Of a one-time password the encrypted part has time and chance in it: there the private ID and
// the counters are compared.
func (s *optionSet) sameTyped(ours, theirs []stroke) error {
	if s == nil || s.kind != "yubico-otp" || len(ours) == 0 {
		if !slices.Equal(ours, theirs) {
			return fmt.Errorf("%v with ours, %v with theirs", ours, theirs)
		}
		return nil
	}
	if len(ours) != len(theirs) {
		return fmt.Errorf("%d strokes with ours, %d with theirs", len(ours), len(theirs))
	}
	end := len(ours)
	for _, flag := range []string{"append-tab2", "append-cr"} {
		if s.has(flag) {
			end -= 2
		}
	}
	begin := end - 2*ticketStrokes
	if begin < 0 || !slices.Equal(ours[:begin], theirs[:begin]) || !slices.Equal(ours[end:], theirs[end:]) {
		return fmt.Errorf("%v with ours, %v with theirs", ours, theirs)
	}
	a, err := s.decrypt(ours[begin:end])
	if err != nil {
		return err
	}
	b, err := s.decrypt(theirs[begin:end])
	if err != nil {
		return err
	}
	if a != b || !strings.HasPrefix(a, hex.EncodeToString(s.uid)) {
		return fmt.Errorf("private ID and counters %s with ours, %s with theirs", a, b)
	}
	return nil
}

// decrypt gives private ID, use and session counter of 32 strokes. Source: reference yubikey-otp.md §4.1.
func (s *optionSet) decrypt(typed []stroke) (string, error) {
	block := make([]byte, 0, aes.BlockSize)
	high := -1
	for _, t := range typed {
		if !t.down {
			continue
		}
		digit := slices.Index(modHexKeys[:], t.code)
		switch {
		case digit < 0:
			return "", fmt.Errorf("key code %d is not ModHex", t.code)
		case high < 0:
			high = digit
		default:
			block, high = append(block, byte(high<<4|digit)), -1
		}
	}
	c, err := aes.NewCipher(s.key)
	if err != nil {
		return "", err
	}
	if len(block) != aes.BlockSize {
		return "", errors.New("not one block")
	}
	c.Decrypt(block, block)
	return fmt.Sprintf("%x %x %x", block[:6], block[6:8], block[11]), nil
}
