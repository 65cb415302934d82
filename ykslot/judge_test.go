package ykslot

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
)

// job is one of testdata/judge.py's.
type job struct {
	What    string   `json:"what"`
	Kind    string   `json:"kind,omitempty"`
	Version [3]int   `json:"version"`
	Slot    int      `json:"slot"`
	Flags   []string `json:"flags"`
	Key     string   `json:"key"`
	Fixed   string   `json:"fixed"`
	UID     string   `json:"uid"`
	Code    string   `json:"code"`
	Moving  int64    `json:"moving"`
	Text    string   `json:"text"`
	Data    string   `json:"data"`
	Mode    int      `json:"mode"`
	Timeout int      `json:"timeout"`
	Eject   int      `json:"eject"`
	Layout  string   `json:"layout"`
}

// judge asks the vendor's code.
func judge(t *testing.T, jobs []job) [][]string {
	t.Helper()
	const python = "/usr/bin/python3" // Debian's, which finds Debian's yubikit
	if err := exec.CommandContext(t.Context(), python, "-c", "import yubikit.yubiotp, ykman.scancodes, ctypes; ctypes.CDLL('libykpers-1.so.1')").Run(); err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal("yubikit or libykpers is missing, and TOKENDESK_JUDGES is 1")
		}
		t.Skip("yubikit or libykpers is missing")
	}
	in, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/judge.py")
	cmd.Stdin = strings.NewReader(string(in))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var answers [][]string
	if err == nil {
		err = json.Unmarshal(out, &answers)
	}
	if err != nil || len(answers) != len(jobs) {
		t.Fatalf("%d answers to %d jobs, %v: %s", len(answers), len(jobs), err, stderr.String())
	}
	return answers
}

// vendorFlags are the set flags by the names of the vendor's code: "tktflag_APPEND_CR".
func vendorFlags(f Flags) []string {
	names := []string{}
	for _, row := range flagTable {
		if f.byte(row.field)&row.bit != 0 && row.modes.has(f.Mode()) {
			names = append(names, [...]string{"extflag_", "tktflag_", "cfgflag_"}[row.field]+row.name)
		}
	}
	return names
}

// drawConfig draws a builder of any kind with any flags that its mode has, whatever the firmware. kind is judge.py's name.
func drawConfig(r *rand.Rand) (kind string, b builder) {
	bytes := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(1 + r.IntN(255))
		}
		return b
	}
	hidden := func(n int) secret.Bytes { return secret.New(bytes(n)) }
	flags := func(m Mode, unless ConfigFlag) (f Flags) {
		for _, row := range flagTable {
			if !row.modes.has(m) || r.IntN(12) != 0 {
				continue
			}
			switch row.field {
			case fieldExt:
				f.Ext |= ExtFlag(row.bit)
			case fieldTicket:
				f.Ticket |= TicketFlag(row.bit) &^ OathHOTP
			default:
				f.Config |= ConfigFlag(row.bit) &^ unless
			}
		}
		return f
	}
	var code secret.Bytes
	if r.IntN(3) == 0 {
		code = hidden(AccessCodeLen)
	}
	switch r.IntN(6) {
	case 0:
		id := TokenID{Bytes: bytes(r.IntN(FixedLen + 1))}
		id.ModHex = len(id.Bytes)
		return "hotp", HOTP{id, hidden(1 + r.IntN(SeedLen)), 6 + 2*r.IntN(2), int64(r.IntN(3)) * int64(r.IntN(0x8000)) * 16, code, flags(ModeHOTP, FixedModHex1|FixedModHex2|HOTP8)}
	case 1:
		return "hmac", ChallengeHMAC{hidden(1 + r.IntN(SeedLen)), r.IntN(2) == 0, r.IntN(2) == 0, code, flags(ModeChallengeHMAC, 0xff)}
	case 2:
		return "chalyubico", ChallengeYubico{hidden(UIDLen), hidden(KeyLen), r.IntN(2) == 0, code, flags(ModeChallengeYubico, 0xff)}
	case 3:
		return "static", EncryptedPassword{bytes(r.IntN(FixedLen + 1)), hidden(UIDLen), hidden(KeyLen), r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0, code, flags(ModeStatic, StaticTicket)}
	case 4:
		us, _ := keyboard.Lookup("us")
		text := make([]byte, 1+r.IntN(MaxStrokes))
		for i := range text {
			text[i] = us.Alphabet()[r.IntN(len(us.Alphabet()))]
		}
		return "codes", ScanCodes{secret.New(text), us, code, flags(ModeScanCodes, ShortTicket)}
	}
	return "otp", YubicoOTP{bytes(r.IntN(FixedLen + 1)), hidden(UIDLen), hidden(KeyLen), code, flags(ModeYubicoOTP, 0)}
}

// drawVersion draws one of the firmware at whose edges something changes.
func drawVersion(r *rand.Rand) Version {
	all := []Version{{2, 0, 0}, {2, 1, 0}, {2, 1, 3}, {2, 2, 0}, {2, 2, 3}, {2, 3, 0}, {2, 4, 0}, {2, 4, 3}, {3, 0, 0}, {3, 1, 0}, {3, 2, 0}, {3, 4, 3}, {4, 0, 0}, {4, 3, 5}, {5, 2, 7}, {5, 4, 3}, {5, 7, 1}}
	return all[r.IntN(len(all))]
}

// ignored are the flags that libykpers sets on firmware 3 and newer, which ignores them: reference yubikey-otp.md §1.7, §3.2.
var ignored = []string{"APPEND_DELAY1", "APPEND_DELAY2", "MAN_UPDATE", "SERIAL_BTN_VISIBLE", "SERIAL_USB_VISIBLE", "USE_NUMERIC_KEYPAD"}

// TestVendorBuildsTheSame: for random option sets of every kind, libykpers and yubikit build the same 52 bytes, and libykpers refuses
// what we refuse, but for flags without effect.
func TestVendorBuildsTheSame(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 52))
	type drawn struct {
		c   Config
		v   Version
		err error
	}
	var jobs []job
	var all []drawn
	for len(jobs) < 1200 {
		kind, b := drawConfig(r)
		c, err := b.Config()
		if err != nil {
			continue // what no firmware takes
		}
		d := drawn{c: c, v: drawVersion(r)}
		slot := Slot(1 + r.IntN(2))
		if d.err = c.Supported(d.v); d.err == nil && slot == Slot2 {
			d.err = FeatureSlot2.Supported(d.v)
		}
		j := job{What: "config", Kind: kind, Version: [3]int{int(d.v.Major), int(d.v.Minor), int(d.v.Patch)}, Slot: int(slot), Flags: vendorFlags(c.Flags)}
		j.Fixed, j.UID, j.Key, j.Code = hex.EncodeToString(c.Fixed), hex.EncodeToString(c.UID.Reveal()), hex.EncodeToString(c.Key.Reveal()), hex.EncodeToString(c.AccessCode.Reveal())
		if kind == "hotp" || kind == "hmac" {
			j.Key, j.UID, j.Moving = hex.EncodeToString(c.seed().Reveal()), "", c.MovingFactor()
		}
		jobs, all = append(jobs, j), append(all, d)
	}
	same, refused, effectless, differ := 0, 0, 0, map[string]int{}
	var unsupported *UnsupportedError
	for i, answer := range judge(t, jobs) {
		raw, err := all[i].c.AppendMarshal(nil)
		if err != nil {
			t.Fatal(err)
		}
		want := hex.EncodeToString(raw)
		if answer[1] != want {
			t.Errorf("%v: yubikit makes\n%s, we\n%s", all[i].c, answer[1], want)
		}
		theirs, no := strings.CutPrefix(answer[0], "refused: ")
		switch {
		case !no && answer[0] != want:
			t.Errorf("%v: libykpers makes\n%s, we\n%s", all[i].c, answer[0], want)
		case no && all[i].err != nil:
			refused++
		case !no && all[i].err == nil:
			same++
		case !no && errors.As(all[i].err, &unsupported) && all[i].v.Major >= 3 && slices.Contains(ignored, unsupported.What):
			effectless++
		case no:
			differ[fmt.Sprintf("libykpers refuses %s on %v", theirs, all[i].v)]++
		default:
			differ[fmt.Sprintf("we: %v", all[i].err)]++
		}
	}
	for _, text := range slices.Sorted(maps.Keys(differ)) {
		t.Errorf("%s (%d)", text, differ[text])
	}
	if same < 700 || refused < 100 || effectless < 50 {
		t.Errorf("%d the same, %d refused by both, %d without effect: too few", same, refused, effectless)
	}
}

// TestVendorSendsTheSame: frames of updates, deletes, swaps, scan maps, NDEF and challenges are those of yubikit's session.
func TestVendorSendsTheSame(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(4, 70))
	var jobs []job
	var frames []string
	add := func(j job, cmd Command, payload []byte) {
		var full [PayloadLen]byte
		copy(full[:], payload)
		var frame [frameLen]byte
		for _, part := range Reports(cmd, &full) {
			copy(frame[int(part[offFlag]&maskPart)*partLen:], part[:partLen])
		}
		j.What = "frame"
		jobs, frames = append(jobs, j), append(frames, hex.EncodeToString(frame[:]))
	}
	for i := range 400 {
		slot := Slot(1 + i%2)
		code := make([]byte, AccessCodeLen*r.IntN(2))
		for i := range code {
			code[i] = byte(1 + r.IntN(255))
		}
		j := job{Slot: int(slot), Code: hex.EncodeToString(code)}
		switch i % 7 {
		case 0:
			j.Kind = "update"
			f := Flags{ExtFlag(r.IntN(256)), TicketFlag(r.IntN(64)), ConfigFlag(r.IntN(4)) * Pacing10ms}
			j.Flags = vendorFlags(f)
			raw, err := updateConfig(f, secret.New(code)).AppendMarshal(nil)
			if err != nil {
				t.Fatal(err)
			}
			add(j, ofSlot(slot, CommandUpdate1, CommandUpdate2), append(raw, code...))
		case 1:
			j.Kind = "delete"
			add(j, ofSlot(slot, CommandWrite1, CommandWrite2), append(make([]byte, ConfigLen), code...))
		case 2:
			j.Kind, j.Code = "swap", ""
			add(j, CommandSwap, nil)
		case 3:
			m := DefaultScanMap()
			r.Shuffle(len(m), func(a, b int) { m[a], m[b] = m[b], m[a] })
			j.Kind, j.Data = "scanmap", m.String()
			add(j, CommandScanMap, append(m[:], code...))
		case 4, 5:
			prefixes := []string{"http://www.", "https://www.", "https://", "tel:", "mailto:", "ftp://", "app:", "sips:"}
			j.Kind, j.Text = "uri", prefixes[r.IntN(len(prefixes))]+strings.Repeat("ü", r.IntN(20))
			n, err := NDEFURI(j.Text)
			if i%7 == 5 {
				j.Kind = "text"
				n, err = NDEFText(j.Text, "")
			}
			if err != nil {
				t.Fatal(err)
			}
			add(j, ofSlot(slot, CommandNDEF1, CommandNDEF2), append(n.AppendMarshal(nil), code...))
		default:
			challenge := make([]byte, 1+r.IntN(63))
			for i := range challenge {
				challenge[i] = byte(r.IntN(3)) * byte(r.IntN(256))
			}
			j.Kind, j.Code, j.Data = "challenge", "", hex.EncodeToString(challenge)
			padded, err := PadYubikit.Pad(challenge)
			if err != nil {
				t.Fatal(err)
			}
			add(j, ofSlot(slot, CommandHMAC1, CommandHMAC2), padded[:])
		}
	}
	for i, answer := range judge(t, jobs) {
		if answer[0] != frames[i] {
			t.Errorf("%s of slot %d: the vendor sends\n%s, we\n%s", jobs[i].Kind, jobs[i].Slot, answer[0], frames[i])
		}
	}
}

// layoutsDiffer are the characters that the vendor's tables have elsewhere than xkb-data, in order.
var layoutsDiffer = map[string]string{
	"de":     "^`´",          // dead keys; the stroke of the second is that of ?
	"fr":     "*\x7fµ",       // 31 for 32, the same key; 7f is Backspace
	"it":     "#*.@`ù",       // three need AltGr and would type ù, 7 and ?; two are on the numeric keypad; 31 for 32
	"bepo":   "\t\n\u00a0Çç", // with Shift; 31 for 32
	"norman": ":",            // the stroke of H
}

// TestVendorLayouts: the layouts that the vendor's tool has, character by character.
func TestVendorLayouts(t *testing.T) {
	t.Parallel()
	names := []string{"US", "UK", "DE", "FR", "IT", "BEPO", "NORMAN", "MODHEX"}
	var jobs []job
	for _, name := range names {
		jobs = append(jobs, job{What: "layout", Layout: name})
	}
	for i, answer := range judge(t, jobs) {
		l, ok := keyboard.Lookup(strings.ToLower(names[i]))
		if !ok {
			t.Fatalf("no layout %s", names[i])
		}
		var theirs map[string]byte
		if err := json.Unmarshal([]byte(answer[0]), &theirs); err != nil {
			t.Fatal(err)
		}
		differ := ""
		for _, c := range slices.Sorted(maps.Keys(theirs)) {
			if r, _ := utf8.DecodeRuneInString(c); l.Stroke(r) != theirs[c] {
				differ += c
				t.Logf("%s %q: %02x, we %02x", names[i], c, theirs[c], l.Stroke(r))
			}
		}
		if differ != layoutsDiffer[l.Name] {
			t.Errorf("%s: %q differ, want %q", l.Name, differ, layoutsDiffer[l.Name])
		}
	}
}

// TestVendorModes: the four bytes of a USB mode.
func TestVendorModes(t *testing.T) {
	t.Parallel()
	var jobs []job
	var want []string
	for mask := 1; mask < 8; mask++ {
		for _, eject := range []bool{false, true} {
			m := USBMode{OTP: mask&1 != 0, FIDO: mask&2 != 0, CCID: mask&4 != 0, TouchEject: eject, ChallengeTimeout: 9e9}
			j := job{What: "mode", Timeout: 9}
			if eject {
				m.AutoEject, j.Eject = 258e9, 258
			}
			raw, err := m.AppendMarshal(nil)
			if err != nil {
				continue
			}
			j.Mode = int(raw[0])
			jobs, want = append(jobs, j), append(want, hex.EncodeToString(raw))
		}
	}
	for i, answer := range judge(t, jobs) {
		if answer[0] != want[i] {
			t.Errorf("mode %02x: %s, we %s", jobs[i].Mode, answer[0], want[i])
		}
	}
}
