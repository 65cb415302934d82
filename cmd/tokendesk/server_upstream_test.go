//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// freeRADIUSConfig is the part that every FreeRADIUS has.
const freeRADIUSConfig = `
name = radiusd
libdir = /usr/lib/freeradius
logdir = %[1]s
run_dir = %[1]s
pidfile = %[1]s/radiusd.pid
security {
	reject_delay = 0
}
client here {
	ipaddr = 127.0.0.1
	secret = "%[3]s"
}
listen {
	type = auth
	ipaddr = 127.0.0.1
	port = %[2]d
	virtual_server = default
}
`

// upstreamConfig is one that knows ada's password and nothing else. 3.2.1 sends Message-Authenticator only where it is told to.
const upstreamConfig = `
modules {
	pap {
	}
}
server default {
	authorize {
		if (&User-Name == "ada") {
			update control {
				Cleartext-Password := "pass word 7"
			}
			update reply {
				Class := 0x7374616666
			}
		}
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
	post-auth {
		update reply {
			Message-Authenticator := 0x00
		}
		Post-Auth-Type REJECT {
			update reply {
				Message-Authenticator := 0x00
			}
		}
	}
}
`

const upstreamSecret = "what the two servers share"

// proxyConfig is one that decides nothing and asks another.
const proxyConfig = `
modules {
}
home_server tokendesk {
	type = auth
	ipaddr = 127.0.0.1
	port = %s
	secret = "%s"
	status_check = status-server
	response_window = 6
}
home_server_pool tokendesk {
	home_server = tokendesk
}
realm tokendesk {
	auth_pool = tokendesk
	nostrip
}
server default {
	authorize {
		update control {
			Proxy-To-Realm := "tokendesk"
		}
	}
}
`

// freeRADIUS starts one, and returns its address.
func freeRADIUS(t *testing.T, config string) string {
	t.Helper()
	needJudges(t, "freeradius")
	for try := 1; ; try++ {
		at, said := freeRADIUSAt(t, config)
		if at != "" {
			return at
		}
		if try == 10 || !strings.Contains(said, "in use") { // somebody was quicker
			t.Fatalf("FreeRADIUS ended:\n%s", said)
		}
	}
}

// freeRADIUSAt starts one on a port that was free a moment ago; at is "" if it ended, having said why.
func freeRADIUSAt(t *testing.T, config string) (address, why string) {
	t.Helper()
	free, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := free.LocalAddr().(*net.UDPAddr)
	_ = free.Close() // FreeRADIUS takes no port that is left to the system
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "radiusd.conf"), fmt.Appendf(nil, freeRADIUSConfig+config, dir, at.Port, upstreamSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "freeradius", "-d", dir, "-f", "-l", "stdout")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var said strings.Builder
	ready := make(chan bool, 1)
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			fmt.Fprintln(&said, in.Text())
			if strings.Contains(in.Text(), "Ready to process requests") {
				ready <- true
			}
		}
		close(ready)
	}()
	select {
	case ok := <-ready:
		if !ok {
			return "", said.String()
		}
	case <-time.After(askTime):
		t.Fatal("FreeRADIUS is not ready")
	}
	return at.String(), ""
}

// TestFreeRADIUSChecksPasswords: Debian's FreeRADIUS decides about the password, this program about the code; both must be right, and a
// code is used up whatever becomes of the password.
func TestFreeRADIUSChecksPasswords(t *testing.T) {
	t.Parallel()
	address := freeRADIUS(t, upstreamConfig)
	file := filepath.Join(t.TempDir(), "upstream.secret")
	if err := os.WriteFile(file, []byte(upstreamSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRADIUSRig(t, "--password", "upstream", "--upstream", address, "--upstream-secret-file", file)
	got, said := r.radclient(r.at[0], r.secret, pap("ada", "pass word 7"+r.typed(2)), "auth")
	_, answer, _ := strings.Cut(said, "Received")
	if got != radAccept || !strings.Contains(answer, "Class = 0x7374616666") {
		t.Errorf("both right: %s\n%s", got, said)
	}
	otp := r.typed(2)
	r.login("wrong password", r.at[0], "pass word 8"+otp, radReject)
	r.login("right password, code used up", r.at[0], "pass word 7"+otp, radReject)
	r.login("no password", r.at[0], r.typed(2), radReject)
	r.login("right password, wrong code", r.at[1], "pass word 7"+changed(r.typed(2)), radReject)
	r.login("temporary code", r.at[1], "pass word 7"+r.tempCode("ada"), radAccept)

	if err := os.WriteFile(file, []byte("another secret than theirs\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.must("radius", "set", "vpn", "--upstream-secret-file", file)
	r.until("the secret of the upstream server", func() bool {
		got, _ := r.radclient(r.at[0], r.secret, pap("ada", "pass word 7"+r.typed(2)), "auth")
		return got == radReject
	})
	if log := r.stop(); !strings.Contains(log, "no authentic answer of the upstream server") {
		t.Errorf("the log does not say what is wrong upstream:\n%s", log)
	}
}

// TestFreeRADIUSInFront: a device that sends no Message-Authenticator, as Debian's pam_radius 2.0.0, has its requests passed on by
// FreeRADIUS, which adds one.
func TestFreeRADIUSInFront(t *testing.T) {
	t.Parallel()
	needJudges(t, "freeradius")
	r := newRADIUSRig(t)
	_, port, err := net.SplitHostPort(r.at[0])
	if err != nil {
		t.Fatal(err)
	}
	front := freeRADIUS(t, fmt.Sprintf(proxyConfig, port, r.secret))
	otp := r.typed(2)
	for _, tc := range []struct{ what, want string }{{"right", radAccept}, {"again", radReject}} {
		if got, said := r.radclient(front, upstreamSecret, fmt.Sprintf("User-Name = ada, User-Password = %q", otp), "auth"); got != tc.want {
			t.Errorf("%s: %s\n%s", tc.what, got, said)
		}
	}
	r.stop()
}
