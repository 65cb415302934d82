// Command vkeyd serves virtual YubiKeys by USB/IP, for the guest machine of the tests, and takes orders on a socket:
//
//	vkeyd -key 5.4.3,serial=7654321 -key 2.4.3 -control /run/vkeyd &
//	usbip attach -r 127.0.0.1 -b 1-1
//	vkeyd -control /run/vkeyd touch 1 1
//
// With words after the flags it sends them as one order to the vkeyd behind the socket, prints the answer, and fails
// where that is an error, "nothing" or "no".
//
// Without -control the orders come from standard input; there, end of input is as good as quit. It prints "ready" when
// the port is open. Each order gets one line in return: "ok", an answer, or "error: …". KEY is the number of the -key
// flag, from 1, and the second half of the bus id.
//
//	touch KEY SLOT         "ok", or "nothing" if the key did not react
//	hold KEY DURATION      touches it for so long; the slot that reacted, or "nothing"
//	strokes KEY            how many keys the last touch pressed
//	tap KEY                reads its NFC tag: type and text, or "nothing"
//	unplug KEY, plug KEY   a plugged key must be attached again
//	transfers KEY          "gets=N sets=N" since the last reset
//	reset KEY              sets both counts to 0
//	fault KEY [NAME=N …]   stall, lose, unplug (the n-th report), slow (reads), slowms (ms), stale, notouch; none disarms
//	lock KEY SLOT CODE     puts a foreign access code (12 hexadecimal digits) on a slot
//	slots KEY              what both slots hold, without secrets
//	dump KEY SLOT          the slot's 52 bytes, secrets included, or "nothing"
//	frame KEY              command and payload of the last frame
//	state KEY              firmware, PID, serial number, light and device info
//	accounts KEY           what the OATH application holds, without secrets
//	piv KEY                tries left, tried and wrong (PIN, PUK, management key), resets, keys of the PIV application
//	root KEY               base64 of the certificate that attestations of its PIV application lead to
//	holds KEY SLOT HEX     "yes" or "no": whether the slot holds this secret, as vkey.Key.Holds
//	quit
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/usbip"
	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vkeyd:", err)
		os.Exit(1)
	}
}

// run serves until quit, until the end of in if there is no control socket, or until serving ends.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("vkeyd", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:3240", "address of the USB/IP server")
	control := flags.String("control", "", "path of the unix socket that takes orders (default: standard input)")
	d := &desk{}
	flags.Func("key", "a key: FIRMWARE[,pid=HEX][,serial=N][,hide][,pace=DURATION][,reclaim=DURATION]; may be repeated", d.add)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return ask(*control, strings.Join(flags.Args(), " "), out)
	}
	if len(d.keys) == 0 {
		return errors.New("no -key given")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	orders, err := openOrders(*control)
	if err != nil {
		l.Close()
		return err
	}
	served := make(chan error, 1)
	go func() { served <- usbip.Serve(ctx, l, d.keys...) }()
	quit := make(chan error, 1)
	if orders != nil {
		defer orders.Close()
		go func() { quit <- d.serve(orders) }()
	}
	if _, err := fmt.Fprintln(out, "ready", l.Addr()); err != nil {
		return err
	}
	if orders == nil {
		go func() {
			d.answer(in, out)
			quit <- nil
		}()
	}
	select {
	case err := <-served:
		return err
	case err := <-quit:
		cancel()
		return errors.Join(err, <-served)
	}
}

// ask sends one order to the control socket of another vkeyd and prints the answer.
func ask(control, order string, out io.Writer) error {
	conn, err := net.Dial("unix", control)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, order); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	answer = strings.TrimSuffix(answer, "\n")
	if answer == answerNothing || answer == answerNo || strings.HasPrefix(answer, answerError) {
		return fmt.Errorf("%s: %s", order, answer)
	}
	_, err = fmt.Fprintln(out, answer)
	return err
}

// openOrders listens on the control socket; nil without a path.
func openOrders(path string) (net.Listener, error) {
	if path == "" {
		return nil, nil
	}
	return net.Listen("unix", path)
}

// add makes a key of FIRMWARE[,pid=HEX][,serial=N][,hide][,pace=DURATION][,reclaim=DURATION].
func (d *desk) add(s string) error {
	fields := strings.Split(s, ",")
	var p vkey.Profile
	for _, known := range vkey.Profiles() {
		if known.Version.String() == fields[0] {
			p = known
		}
	}
	if p == (vkey.Profile{}) {
		return fmt.Errorf("no profile of firmware %q", fields[0])
	}
	var o vkey.Options
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		if err := setOption(&p, &o, name, value); err != nil {
			return err
		}
	}
	k := vkey.New(p, o)
	install(k)
	d.keys = append(d.keys, k)
	return nil
}

func setOption(p *vkey.Profile, o *vkey.Options, name, value string) error {
	switch name {
	case "pid":
		pid, err := strconv.ParseUint(value, 16, 16)
		p.PID = uint16(pid)
		return err
	case "serial":
		serial, err := strconv.ParseUint(value, 10, 32)
		o.Serial = uint32(serial)
		return err
	case "hide":
		o.HideSerial = true
		return nil
	case "pace":
		pace, err := time.ParseDuration(value)
		o.Pace.Time = pace
		return err
	case "reclaim":
		reclaim, err := time.ParseDuration(value)
		o.Reclaim = reclaim
		return err
	}
	return fmt.Errorf("no option %q", name)
}
