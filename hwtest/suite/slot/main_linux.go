// Command slot is a hand tool for the guest's scenarios: our Session beside stock clients. Its keys are made up and come
// as arguments.
//
//	slot libusb|hidraw info                                     prints what our Session reads
//	slot libusb|hidraw write SLOT PUBLIC PRIVATE KEY NEW CURRENT  writes a Yubico OTP; the two access codes may be -
//	slot libusb|hidraw hold COMMAND…                            runs a command while the key is held
//	slot typed COMMAND…                                         prints the line the system's keyboard types after the command
//	slot open PRIVATE KEY OTP                                   prints public ID, use and session counter, or fails
//
// All values but OTP are hexadecimal.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/suite"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// patience bounds one call; the guest is five to ten times slower than its host, which may be busy.
const patience = 5 * time.Minute

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "slot:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: see the source")

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	switch args[0] {
	case "typed":
		return printTyped(ctx, args[1:])
	case "open":
		return openOTP(args[1:])
	}
	dev, err := suite.OpenAttached(ctx, args[0])
	if err != nil {
		return err
	}
	s, err := ykslot.Open(ctx, dev, nil)
	if err == nil {
		switch verb, rest := args[1], args[2:]; verb {
		case "info":
			err = info(ctx, s)
		case "write":
			err = write(ctx, s, rest)
		case "hold":
			err = command(ctx, rest)
		default:
			err = errUsage
		}
	}
	return errors.Join(err, dev.Close())
}

func info(ctx context.Context, s *ykslot.Session) error {
	serial, err := s.Serial(ctx)
	if err != nil {
		return err
	}
	st := s.Status()
	_, err = fmt.Printf("serial: %d\nversion: %v\nprogramming_sequence: %d\nslot1_status: %d\nslot2_status: %d\n", serial,
		st.Version, st.ProgSeq, bit(st.Configured(ykslot.Slot1)), bit(st.Configured(ykslot.Slot2)))
	return err
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func write(ctx context.Context, s *ykslot.Session, args []string) error {
	if len(args) != 6 {
		return errUsage
	}
	slot, err := strconv.ParseUint(args[0], 10, 8)
	if err != nil {
		return err
	}
	var parts [5]secret.Bytes
	for i, text := range args[1:] {
		if text == "-" {
			continue
		}
		if parts[i], err = secret.FromHex(text, len(text)/2); err != nil {
			return err
		}
	}
	cfg, err := ykslot.YubicoOTP{
		PublicID: parts[0].Reveal(), PrivateID: parts[1], Key: parts[2], AccessCode: parts[3],
		Flags: ykslot.TypingFlags(s.Status().Version),
	}.Config()
	if err != nil {
		return err
	}
	return s.Write(ctx, ykslot.Slot(slot), cfg, parts[4])
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// printTyped opens the keyboard's event node before it runs the command that makes the key type.
func printTyped(ctx context.Context, args []string) error {
	f, err := keyboard(ctx)
	if err != nil {
		return err
	}
	defer f.Close()
	// The kernel keeps fewer events than an OTP has, so reading starts before the touch.
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := typed(ctx, f)
		got <- result{line, err}
	}()
	if err := command(ctx, args); err != nil {
		return err
	}
	r := <-got
	if r.err != nil {
		return r.err
	}
	_, err = fmt.Println(r.line)
	return err
}

func openOTP(args []string) error {
	if len(args) != 3 {
		return errUsage
	}
	privateID, err := secret.FromHex(args[0], yubiotp.PrivateIDLen)
	if err != nil {
		return err
	}
	key, err := secret.FromHex(args[1], yubiotp.KeyLen)
	if err != nil {
		return err
	}
	cipher, err := yubiotp.NewCipher(key, privateID)
	if err != nil {
		return err
	}
	publicID, block, err := yubiotp.Split(args[2])
	if err != nil {
		return err
	}
	token, verdict := cipher.Open(block)
	if verdict != yubiotp.OK {
		return fmt.Errorf("the OTP is: %v", verdict)
	}
	_, err = fmt.Printf("%x %d %d\n", publicID, token.UseCounter, token.SessionCounter)
	return err
}
