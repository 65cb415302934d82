package main

import (
	"bufio"
	"context"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/usbhid"
)

// ykman is Debian's ykman 4.0.9: its own commands, in one Python process, because starting it takes seconds in the guest.
type ykman struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
}

// startYkman gives the process the second key.
func startYkman(ctx context.Context) (*ykman, error) {
	keys, err := usbhid.Find(os.DirFS("/sys"))
	if err != nil || len(keys) < theirsKey {
		return nil, errors.Join(err, fmt.Errorf("%d keys", len(keys)))
	}
	m := &ykman{cmd: exec.CommandContext(ctx, "/usr/bin/python3", filepath.Join(os.Getenv("GUEST_DIR"), "rival.py"), keys[theirsKey-1].HIDRaw)}
	m.cmd.Stderr = os.Stderr
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	m.lines = bufio.NewReader(out)
	return m, m.cmd.Start()
}

func (m *ykman) stop() error { return errors.Join(m.in.Close(), m.cmd.Wait()) }

// ask sends one line of JSON and returns what the process answers.
func (m *ykman) ask(what any) (string, error) {
	line, err := json.Marshal(what)
	if err != nil {
		return "", err
	}
	if _, err := m.in.Write(append(line, '\n')); err != nil {
		return "", err
	}
	said, err := m.lines.ReadBytes('\n')
	if err != nil {
		return "", fmt.Errorf("ykman ended: %w", err)
	}
	var answer struct{ OK, Error string }
	if err := json.Unmarshal(said, &answer); err != nil {
		return "", err
	}
	if answer.Error != "" {
		return "", fmt.Errorf("ykman %v: %s", what, answer.Error)
	}
	return answer.OK, nil
}

// otp runs "ykman otp ARGS".
func (m *ykman) otp(code string, args ...string) error {
	if code != "" {
		args = append([]string{"--access-code", code}, args...)
	}
	_, err := m.ask(args)
	return err
}

// baseline are the flags that ykman sets.
func (s *optionSet) baseline() {
	s.on = []string{"serial-api-visible", "allow-update"}
	if s.kind != "challenge-response" {
		s.on = append(s.on, "fast-trig", "append-cr")
	}
}

// draw leaves out what ykman 4.0.9 cannot: tickets, Yubico challenges, messages of a fixed length, flags but Enter, and an access
// code that is not the present one.
func (m *ykman) draw(r *rand.Rand, firmware string, have [2]*optionSet) *optionSet {
	for {
		s := drawSet(r, firmware)
		if s.mode == "ticket" || s.mode == "yubico" {
			continue
		}
		s.full, s.code = false, ""
		if old := have[s.slot-1]; old != nil {
			s.code = old.code
		}
		s.baseline()
		if (s.kind == "hotp" || s.kind == "static") && r.IntN(3) == 0 {
			s.drop("append-cr")
		}
		return s
	}
}

// redraw leaves out challenge-response, whose settings ykman gives an Enter and a fast trigger that are not for it.
func (m *ykman) redraw(r *rand.Rand, _ string, s *optionSet) bool {
	if s.kind == "challenge-response" {
		return false
	}
	s.baseline()
	if r.IntN(2) == 0 {
		s.drop("append-cr")
	}
	for _, flag := range []string{"pacing-10ms", "pacing-20ms"} {
		if r.IntN(2) == 0 {
			s.on = append(s.on, flag)
		}
	}
	switch r.IntN(3) {
	case 0:
		s.code = hex.EncodeToString(drawBytes(r, 6))
	case 1:
		s.code = ""
	}
	return true
}

func (m *ykman) write(_ *twins, s *optionSet, code string) error {
	slot, key := strconv.Itoa(s.slot), hex.EncodeToString(s.key)
	var args []string
	switch s.kind {
	case "yubico-otp":
		args = []string{"yubiotp", slot, "-P", toModHex(s.id), "-p", hex.EncodeToString(s.uid), "-k", key, "-f"}
	case "hotp":
		args = []string{"hotp", slot, base32.StdEncoding.EncodeToString(s.key), "-d", strconv.Itoa(s.digits), "-c", strconv.FormatInt(s.moving, 10), "-f"}
		if s.tokenID != "" {
			args = append(args, "-i", s.tokenID)
		}
	case "challenge-response":
		if args = []string{"chalresp", slot, key, "-f"}; s.touch {
			args = append(args, "-t")
		}
	default:
		args = []string{"static", "-k", "US", "-f", slot, "--", s.text}
		if !s.has("append-cr") {
			args = append([]string{"static", "--no-enter"}, args[1:]...)
		}
	}
	if s.kind == "hotp" && !s.has("append-cr") {
		args = append(args, "--no-enter")
	}
	return m.otp(code, args...)
}

func (m *ykman) update(_ *twins, s *optionSet, code string) error {
	pacing := 0
	if s.has("pacing-10ms") {
		pacing += 20
	}
	if s.has("pacing-20ms") {
		pacing += 40
	}
	args := []string{"settings", strconv.Itoa(s.slot), "-f", "-p", strconv.Itoa(pacing)}
	if !s.has("append-cr") {
		args = append(args, "--no-enter")
	}
	switch {
	case s.code == code:
	case s.code == "":
		args = append(args, "--delete-access-code")
	default:
		args = append(args, "-A", s.code)
	}
	return m.otp(code, args...)
}

func (m *ykman) erase(_ *twins, slot int, code string) error {
	return m.otp(code, "delete", strconv.Itoa(slot), "-f")
}

func (m *ykman) swap(*twins) error { return m.otp("", "swap", "-f") }

func (m *ykman) ndef(_ *twins, slot int, uri, text string) error {
	args := []string{"ndef", strconv.Itoa(slot)}
	switch {
	case text != "":
		args = append(args, "-t", "TEXT", "-p", text)
	case uri != "":
		args = append(args, "-p", uri)
	}
	return m.otp("", args...)
}

// challenges asks both keys the same, of every length from 1 to 63, with zeros at the end, and random ones: yubikit for one, our
// padding for the other. Some of them are asked of Debian's ykchalresp, too, whose answers differ where a challenge ends with a
// zero, and our program with --padding ykpers gives those.
func (p *twins) challenges(n int) error {
	r := rand.New(rand.NewPCG(63, uint64(n)))
	m, err := startYkman(p.ctx)
	if err != nil {
		return err
	}
	s := &optionSet{slot: 2, kind: "challenge-response", mode: "hmac", key: drawBytes(r, 20)}
	s.baseline()
	err = errors.Join(p.write(s, "5.4.3"), m.write(p, s, ""))
	var sample [][]byte
	for i := 0; i < n && err == nil; i++ {
		challenge := make([]byte, 1+i%63)
		if i >= 63 {
			challenge = make([]byte, 1+r.IntN(63))
		}
		for i := range challenge {
			challenge[i] = byte(r.IntN(256))
		}
		for zeros := r.IntN(4) * r.IntN(len(challenge)); zeros > 0 && zeros < len(challenge); zeros-- {
			challenge[len(challenge)-zeros] = 0
		}
		text := hex.EncodeToString(challenge)
		var theirs string
		if theirs, err = m.ask(map[string]any{"challenge": text, "slot": s.slot}); err != nil {
			break
		}
		if err = p.slot("challenge", s.slot, text); err == nil && strings.TrimSpace(p.said.String()) != theirs {
			err = fmt.Errorf("challenge %s: %s with ours, %s with yubikit", text, p.said, theirs)
		}
		if i%(n/10+1) == 0 {
			sample = append(sample, challenge, append(challenge, 0)[:min(len(challenge)+1, 63)])
		}
	}
	if err = errors.Join(err, m.stop()); err != nil {
		return err
	}
	number, err := persNumber(p.ctx)
	if err != nil {
		return err
	}
	differ := 0
	for _, challenge := range sample {
		yubikit, pers, err := p.byPers(number, s.slot, hex.EncodeToString(challenge))
		if err != nil {
			return err
		}
		zero := challenge[len(challenge)-1] == 0
		if zero == (yubikit == pers) {
			return fmt.Errorf("challenge %x: yubikit's and ykpers's answers are equal: %t", challenge, yubikit == pers)
		}
		if zero {
			differ++
		}
	}
	if differ < len(sample)/3 {
		return fmt.Errorf("%d of %d end with a zero", differ, len(sample))
	}
	fmt.Printf("%d challenges; %d by ykchalresp, of which %d differ from yubikit's\n", n, len(sample), differ)
	return nil
}

// byPers asks ykchalresp, about the second key, and our program with both paddings.
func (p *twins) byPers(number string, slot int, text string) (yubikit, pers string, err error) {
	said, err := exec.CommandContext(p.ctx, "ykchalresp", "-n"+number, "-"+strconv.Itoa(slot), "-H", "-x", text).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("ykchalresp %s: %w: %s", text, err, said)
	}
	theirs := strings.TrimSpace(string(said))
	for padding, to := range map[string]*string{"yubikit": &yubikit, "ykpers": &pers} {
		if err := p.slot("challenge", slot, text, "--padding", padding); err != nil {
			return "", "", err
		}
		*to = strings.TrimSpace(p.said.String())
	}
	if pers != theirs {
		return "", "", fmt.Errorf("challenge %s: %s with ours, %s with ykchalresp", text, pers, theirs)
	}
	return yubikit, pers, nil
}
