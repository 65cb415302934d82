package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// rival is another program that writes slots.
type rival interface {
	// draw draws what the rival, too, can write into slots that hold these sets.
	draw(r *rand.Rand, firmware string, have [2]*optionSet) *optionSet
	// redraw draws other flags and another access code for an update of a slot; false: it would not do what ours does.
	redraw(r *rand.Rand, firmware string, s *optionSet) bool
	// Each changes the second of the twins; code is the present access code, or "".
	write(p *twins, s *optionSet, code string) error
	update(p *twins, s *optionSet, code string) error
	erase(p *twins, slot int, code string) error
	swap(p *twins) error
	// ndef sets what a telephone is shown; "" is the default URI.
	ndef(p *twins, slot int, uri, text string) error
}

// walk writes random sets, and between them updates, erases and swaps what they wrote, with both programs.
func (p *twins) walk(them rival, firmware string, sets int) error {
	r := rand.New(rand.NewPCG(52, uint64(sets)))
	count := map[string]int{}
	for count["write"]+count["update"] < sets {
		what, err := p.step(them, r, firmware)
		if err != nil {
			return fmt.Errorf("after %v, %s: %w", count, what, err)
		}
		count[strings.Fields(what)[0]]++
	}
	fmt.Println("firmware", firmware, count)
	return nil
}

// step does one thing with both programs, if the slots allow it, and compares. what begins with its name.
func (p *twins) step(them rival, r *rand.Rand, firmware string) (what string, err error) {
	slot := 1 + r.IntN(2)
	s := p.slots[slot-1]
	code := ""
	if s != nil {
		code = s.code
	}
	switch n := r.IntN(20); {
	case n < 3 && s != nil && s.has("allow-update"):
		next := *s
		next.on = append([]string{}, s.on...)
		if !them.redraw(r, firmware, &next) || next.code == code && next.sameFlags(s) { // ours refuses to change nothing
			return "none", nil
		}
		what = fmt.Sprintf("update %s", &next)
		if err = errors.Join(p.update(firmware, &next, code), them.update(p, &next, code)); err == nil {
			p.slots[slot-1] = &next
			err = p.equal(slot)
		}
	case n == 3 && s != nil:
		what = fmt.Sprintf("erase slot %d", slot)
		if err = errors.Join(p.slot("erase", slot, "--yes"), them.erase(p, slot, code)); err == nil {
			p.slots[slot-1] = nil
			err = p.equal()
		}
	case n == 4 && p.swappable():
		what = "swap"
		if err = errors.Join(p.slot("swap", 0, "--yes"), them.swap(p)); err == nil {
			p.swapped()
			err = p.equal()
		}
	case n == 5 && s != nil && code == "" && s.kind != "challenge-response" && firmware == "5.4.3":
		what = fmt.Sprintf("ndef %d", slot)
		err = p.show(them, r, slot)
	case n > 5:
		s = them.draw(r, firmware, p.slots)
		if code = ""; p.slots[s.slot-1] != nil {
			code = p.slots[s.slot-1].code
		}
		what = fmt.Sprintf("write %s", s)
		if err = errors.Join(p.write(s, firmware), them.write(p, s, code)); err == nil {
			p.slots[s.slot-1] = s
			err = p.equal(s.slot)
		}
	default:
		what = "none"
	}
	return what, err
}

// String is the set without secrets.
func (s *optionSet) String() string {
	return fmt.Sprintf("slot %d %s %s %v id=%x digits=%d moving=%d touch=%t full=%t code=%t", s.slot, s.kind, s.mode, s.on, s.id, s.digits, s.moving,
		s.touch, s.full, s.code != "")
}

// swappable: each slot in use allows an update, and none has an access code.
func (p *twins) swappable() bool {
	for _, s := range p.slots {
		if s != nil && (s.code != "" || !s.has("allow-update")) {
			return false
		}
	}
	return p.slots[0] != nil || p.slots[1] != nil
}

func (p *twins) swapped() {
	p.slots[0], p.slots[1] = p.slots[1], p.slots[0]
	for i, s := range p.slots {
		if s != nil {
			s.slot = i + 1
		}
	}
}

// show sets a URI, the default one, or a text.
func (p *twins) show(them rival, r *rand.Rand, slot int) error {
	uri, text, args := "", "", []string{}
	switch r.IntN(3) {
	case 0:
		uri = "https://www.example.org/" + strconv.Itoa(r.IntN(1000))
		args = []string{"--uri", uri}
	case 1:
		text = "key " + strconv.Itoa(r.IntN(1000)) + ": "
		args = []string{"--text", text}
	}
	if err := errors.Join(p.slot("ndef", slot, args...), them.ndef(p, slot, uri, text)); err != nil {
		return err
	}
	return p.equal()
}

// write writes the set with our program.
func (p *twins) write(s *optionSet, firmware string) error {
	args := []string{"--type", s.kind, "--verify", "none", "--yes"}
	add := func(words ...string) { args = append(args, words...) }
	secretFile := func(flag, text string) error {
		path, err := p.file(flag, text)
		add("--"+flag, path)
		return err
	}
	var errs []error
	if s.mode == "scan-codes" {
		add("--layout", "us")
		errs = append(errs, secretFile("password-file", s.text))
	} else {
		errs = append(errs, secretFile("key-file", hex.EncodeToString(s.key)))
	}
	switch s.kind {
	case "hotp":
		add("--digits", strconv.Itoa(s.digits), "--moving-factor", strconv.FormatInt(s.moving, 10), "--token-id", s.tokenID)
	case "challenge-response":
		add("--challenge", s.mode, fmt.Sprintf("--touch=%t", s.touch), fmt.Sprintf("--fixed-length=%t", s.full))
	case "static":
		add("--password", s.mode)
	}
	if s.kind == "yubico-otp" || s.mode == "ticket" {
		errs = append(errs, secretFile("private-id-file", hex.EncodeToString(s.uid)))
		if len(s.id) > 0 {
			add("--public-id", hex.EncodeToString(s.id), "--long-public-id")
		}
	}
	if s.code == "" {
		add("--access-code", "none")
	} else {
		add("--access-code", "given")
		errs = append(errs, secretFile("new-code-file", s.code))
	}
	for _, f := range flagRules() {
		if f.goes(s, firmware) {
			add(fmt.Sprintf("--%s=%t", f.name, s.has(f.name)))
		}
	}
	return errors.Join(append(errs, p.slot("program", s.slot, args...))...)
}

// update changes flags and access code with our program, which knows the present one.
func (p *twins) update(firmware string, s *optionSet, code string) error {
	var args []string
	for _, f := range flagRules() {
		if f.later && f.goes(s, firmware) {
			args = append(args, fmt.Sprintf("--%s=%t", f.name, s.has(f.name)))
		}
	}
	var err error
	switch { // first, because the flags may forbid further updates
	case code == s.code:
	case s.code == "":
		err = p.slot("access-code", 0, "remove", "--slot", strconv.Itoa(s.slot))
	default:
		verb := "change"
		if code == "" {
			verb = "set"
		}
		var path string
		if path, err = p.file("new-code-file", s.code); err == nil {
			err = p.slot("access-code", 0, verb, "--slot", strconv.Itoa(s.slot), "--new-code-file", path)
		}
	}
	if err != nil || s.sameFlags(p.slots[s.slot-1]) {
		return err
	}
	return p.slot("settings", s.slot, args...)
}

func (s *optionSet) sameFlags(as *optionSet) bool {
	return slices.Equal(slices.Sorted(slices.Values(s.on)), slices.Sorted(slices.Values(as.on)))
}

// personalizer is Debian's ykpersonalize.
type personalizer struct{ number string } // of the second key, as libykpers counts

// persNumber finds out how libykpers numbers the second key.
func persNumber(ctx context.Context) (string, error) {
	for n := range 2 {
		number := strconv.Itoa(n)
		said, err := exec.CommandContext(ctx, "ykinfo", "-n"+number, "-s", "-q").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("ykinfo: %w: %s", err, said)
		}
		if strings.TrimSpace(string(said)) == strconv.Itoa(theirsSerial) {
			return number, nil
		}
	}
	return "", errors.New("ykinfo does not find the second key")
}

func (personalizer) draw(r *rand.Rand, firmware string, _ [2]*optionSet) *optionSet {
	return drawSet(r, firmware)
}

func (personalizer) redraw(r *rand.Rand, firmware string, s *optionSet) bool {
	s.drawFlags(r, firmware, true)
	if r.IntN(3) == 0 {
		s.code = hex.EncodeToString(drawBytes(r, 6))
	}
	return true
}

// run calls the program; code is the present access code.
func (t personalizer) run(p *twins, code string, args ...string) error {
	line := []string{"-N" + t.number, "-y"}
	if code != "" {
		line = append(line, "-c"+code)
	}
	line = append(line, args...)
	said, err := exec.CommandContext(p.ctx, "ykpersonalize", line...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ykpersonalize %s: %w: %s", strings.Join(line, " "), err, said)
	}
	return nil
}

// begin chooses slot and mode, which must stand before other options, and clears what the program sets by default; the second
// slot's defaults are those of a static password.
func (personalizer) begin(s *optionSet) []string {
	args := []string{"-" + strconv.Itoa(s.slot)}
	switch s.kind {
	case "hotp":
		args = append(args, "-ooath-hotp")
	case "challenge-response":
		args = append(args, "-ochal-resp", "-ochal-"+s.mode)
	}
	args = append(args, "-o-append-cr")
	if s.slot == 2 && len(args) == 2 {
		args = append(args, "-o-static-ticket", "-o-strong-pw1", "-o-strong-pw2", "-o-man-update")
	}
	return args
}

func (t personalizer) write(p *twins, s *optionSet, code string) error {
	args := t.begin(s)
	option := func(words ...string) {
		for _, w := range words {
			args = append(args, "-o"+w)
		}
	}
	key, uid, id := s.key, s.uid, s.id
	switch {
	case s.kind == "hotp":
		uid = nil
		option("oath-imf=" + strconv.FormatInt(s.moving, 10))
		if s.digits == 8 {
			option("oath-hotp8")
		}
		switch s.modhex {
		case 1:
			option("oath-fixed-modhex1")
		case 2:
			option("oath-fixed-modhex2")
		case 6:
			option("oath-fixed-modhex")
		}
	case s.kind == "challenge-response":
		uid = nil
		if s.mode == "hmac" && !s.full {
			option("hmac-lt64")
		}
		if s.touch {
			option("chal-btn-trig")
		}
	case s.mode == "ticket":
		option("static-ticket")
	case s.mode == "scan-codes":
		option("short-ticket")
		codes := make([]byte, 38)
		for i := range s.text {
			codes[i] = usCode(s.text[i])
		}
		id, uid, key = codes[:16], codes[16:22], codes[22:]
	}
	args = append(args, "-a"+hex.EncodeToString(key))
	if len(id) > 0 {
		option("fixed=" + toModHex(id))
	}
	if uid != nil {
		option("uid=" + hex.EncodeToString(uid))
	}
	option(s.on...)
	return t.run(p, code, append(args, accessOption(s))...)
}

// accessOption sets the new code; without it the program keeps the present one.
func accessOption(s *optionSet) string {
	if s.code == "" {
		return "-oaccess=000000000000"
	}
	return "-oaccess=" + s.code
}

func (t personalizer) update(p *twins, s *optionSet, code string) error {
	args := []string{"-u", "-" + strconv.Itoa(s.slot), "-o-append-cr", "-o-allow-update"}
	for _, f := range flagRules() {
		if f.later && s.has(f.name) {
			args = append(args, "-o"+f.name)
		}
	}
	return t.run(p, code, append(args, "-oserial-api-visible", accessOption(s))...)
}

func (t personalizer) erase(p *twins, slot int, code string) error {
	return t.run(p, code, "-z", "-"+strconv.Itoa(slot))
}

func (t personalizer) swap(p *twins) error { return t.run(p, "", "-x") }

func (t personalizer) ndef(p *twins, slot int, uri, text string) error {
	switch {
	case text != "":
		return t.run(p, "", "-"+strconv.Itoa(slot), "-t"+text)
	case uri == "":
		uri = "https://my.yubico.com/yk/#"
	}
	return t.run(p, "", "-"+strconv.Itoa(slot), "-n"+uri)
}
