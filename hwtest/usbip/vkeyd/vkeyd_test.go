package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// program writes F12 of reference yubikey-otp.md §3.10: "Hello World!" in slot 2.
func program(t *testing.T, k *vkey.Key) {
	t.Helper()
	for _, r := range []usbhid.Report{
		{0x8b, 0x08, 0x0f, 0x0f, 0x12, 0x2c, 0x9a, 0x80}, {0x12, 0x15, 0x0f, 0x07, 0x9e, 0, 0, 0x81},
		{0, 0, 0x10, 0x34, 0x20, 0x02, 0, 0x86}, {0, 0xdd, 0xdf, 0, 0, 0, 0, 0x87}, {0, 0x03, 0x95, 0x56, 0, 0, 0, 0x89},
	} {
		if err := k.Set(r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOrders has one line in return for each order.
func TestOrders(t *testing.T) {
	t.Parallel()
	d := &desk{}
	for _, k := range []string{"5.4.3,serial=7654321", "2.4.3"} {
		if err := d.add(k); err != nil {
			t.Fatal(err)
		}
	}
	if u := d.keys[0].USB(); u.PID != 0x0407 {
		t.Errorf("PID %04x", u.PID)
	}
	program(t, d.keys[0])
	for _, v := range []struct{ order, want string }{
		{"touch 1 1", "nothing"},
		{"touch 1 2", "ok"},
		{"strokes 1", "13"},
		{"strokes 2", "0"},
		{"slots 1", "1 empty; 2 static scan codes public=8b080f0f122c9a12150f079e00000000 flags=34/20/02 protected=false use=0 session=0"},
		{"slots 2", "1 empty; 2 empty"},
		{"holds 1 2 00000000000000000000000000000000", "yes"},
		{"holds 1 2 01000000000000000000000000000000", "no"},
		{"dump 1 2", "8b080f0f122c9a12150f079e" + strings.Repeat("00", 26+6) + "103420020000dddf"},
		{"lock 1 2 010203040506", "ok"},
		{"lock 1 1 010203040506", "error: slot is empty"},
		{"transfers 1", "gets=0 sets=5"},
		{"reset 1", "ok"},
		{"transfers 1", "gets=0 sets=0"},
		{"fault 1 stall=1 lose=2 unplug=3 slow=4 slowms=5 stale=6 notouch=7", "ok"},
		{"fault 1", "ok"},
		{"hold 1 3s", "2"},
		{"hold 1 1ms", "nothing"},
		{"hold 1 soon", "error: want a time such as 500ms"},
		{"dump 1 1", "nothing"},
		{"frame 1", "03 8b080f0f122c9a12150f079e" + strings.Repeat("00", 26+6) + "103420020000dddf" + strings.Repeat("00", 12)},
		{"tap 1", `U "\x04my.yubico.com/yk/#"`},
		{"tap 2", "nothing"},
		{"accounts 1", "locked=false"},
		{"piv 1", "pin=3 puk=3 tried=0/0/0 wrong=0/0/0 resets=0"},
		{"root 1", root()},
		{"state 2", "firmware=2.4.3 pid=0010 serial=0 light=lit info="},
		{"fault 1 stall", "error: stall wants a number"},
		{"fault 1 fire=1", `error: no fault "fire"`},
		{"unplug 1", "ok"},
		{"touch 1 2", "nothing"},
		{"plug 1", "ok"},
		{"touch 1 2", "ok"},
		{"touch 1", "error: touch wants 1 words after KEY"},
		{"touch 1 3", "error: slot is 1 or 2"},
		{"touch 3 1", `error: no key "3"`},
		{"", "error: want ORDER KEY …"},
		{"dance 1", `error: no order "dance"`},
	} {
		var out strings.Builder
		if d.answer(strings.NewReader(v.order+"\n"), &out) {
			t.Errorf("%q quits", v.order)
		}
		if got := strings.TrimSuffix(out.String(), "\n"); got != v.want {
			t.Errorf("%q: %q, want %q", v.order, got, v.want)
		}
	}
	for _, bad := range []string{"9.9.9", "5.4.3,pid=x", "5.4.3,colour=red", "5.4.3,serial=-1", ""} {
		if err := d.add(bad); err == nil {
			t.Errorf("key %q is accepted", bad)
		}
	}
}

// TestRun serves, answers on standard input or on the control socket, and ends at quit.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, control := range []string{"", filepath.Join(t.TempDir(), "c")} {
		in, feed := io.Pipe()
		out, show := io.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- run(t.Context(), []string{"-listen", "127.0.0.1:0", "-key", "5.4.3,serial=1,pace=1ms,hide", "-control", control}, in, show)
		}()
		lines := bufio.NewReader(out)
		if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready 127.0.0.1:") {
			t.Fatalf("%q, %v", line, err)
		}
		var to io.Writer = feed
		if control != "" {
			var said strings.Builder
			if err := run(t.Context(), []string{"-control", control, "transfers", "1"}, nil, &said); err != nil || said.String() != "gets=0 sets=0\n" {
				t.Errorf("asked: %q, %v", said.String(), err)
			}
			for _, order := range []string{"touch 1 1", "holds 1 1 00", "dance 1"} {
				if err := run(t.Context(), append([]string{"-control", control}, strings.Fields(order)...), nil, io.Discard); err == nil {
					t.Errorf("%s: no error", order)
				}
			}
			conn, err := net.Dial("unix", control)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			to, lines = conn, bufio.NewReader(conn)
		}
		for _, order := range []string{"slots 1", "quit"} {
			fmt.Fprintln(to, order)
			if line, err := lines.ReadString('\n'); err != nil || order == "quit" && line != "ok\n" {
				t.Errorf("%s: %q, %v", order, line, err)
			}
		}
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	for _, args := range [][]string{{}, {"-listen", "127.0.0.1:0", "-key", "5.4.3,pid=0408"}} {
		if err := run(t.Context(), args, strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("run %v: no error", args)
		}
	}
}
