//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// What Debian's radclient says of an exchange. It checks both authenticators of an answer, and says nothing of one that is wrong.
const (
	radAccept = "Access-Accept"
	radReject = "Access-Reject"
	radSilent = "No reply"
)

// radiusRig is a person ada with a YubiKey, and a server process that answers RADIUS on IPv4 and IPv6.
type radiusRig struct {
	*rig
	t      *testing.T
	secret string
	at     []string // IPv4, IPv6
	server *server
}

// newRADIUSRig registers this machine as a device; words are further flags of radius add.
func newRADIUSRig(t *testing.T, words ...string) radiusRig {
	t.Helper()
	needJudges(t, "radclient", "radtest")
	r := radiusRig{rig: newRig(t, 2), t: t}
	r.must("init")
	r.must("person", "add", "ada")
	r.must("provision", "--slot", "2", "--to", "ada")
	r.must("client", "add", "vpn")
	r.secret = r.device(append([]string{"radius", "add", "vpn", "--network", "127.0.0.1", "--network", "::1"}, words...)...)
	r.server = r.serve("--limit", "0", "--metrics", "127.0.0.1", "--radius", "127.0.0.1:0", "--radius", "[::1]:0")
	if r.at = r.server.radius; len(r.at) != 2 {
		t.Fatalf("it answers at %q", r.at)
	}
	return r
}

// device runs a command that shows a secret.
func (r radiusRig) device(words ...string) string {
	r.t.Helper()
	var answer struct{ Device newNAS }
	if err := json.Unmarshal(r.handOver(append(words, "-o", "json")...), &answer); err != nil {
		r.t.Fatal(err)
	}
	return answer.Device.Secret
}

// talk runs one of FreeRADIUS's clients, and returns what the answer was and all that was said.
func (r radiusRig) talk(input string, words ...string) (answer, said string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), askTime)
	defer cancel()
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	for _, answer := range []string{"Received " + radAccept, "Received " + radReject, radSilent} {
		if strings.Contains(string(out), answer) {
			return strings.TrimPrefix(answer, "Received "), string(out)
		}
	}
	r.t.Fatalf("%q: %v\n%s", words[0], err, out)
	return "", ""
}

// radclient asks at an address with attributes in radclient's words. Without more words it sends now and then for long: a server that lost
// its patience, because the machine is too busy, has decided nothing, and what it decided it says again.
func (r radiusRig) radclient(at, secret, attributes, kind string, words ...string) (answer, said string) {
	r.t.Helper()
	if words == nil {
		words = []string{"-t", "15", "-r", "8"}
	}
	if strings.HasPrefix(at, "[") {
		words = append(words, "-6")
	}
	return r.talk(attributes, append(append([]string{"radclient", "-x"}, words...), at, kind, secret)...)
}

// pap are the attributes of a log-in.
func pap(account, typed string) string {
	return fmt.Sprintf("User-Name = %q, User-Password = %q, Message-Authenticator = 0x00", account, typed)
}

// login asks by radclient.
func (r radiusRig) login(what, at, typed, want string) {
	r.t.Helper()
	var words []string
	if want == radSilent {
		words = []string{"-t", "1", "-r", "1"}
	}
	if got, said := r.radclient(at, r.secret, pap("ada", typed), "auth", words...); got != want {
		r.t.Errorf("%s: %s, want %s\n%s", what, got, want, said)
	}
}

// metrics are what Prometheus reads.
func (r radiusRig) metrics() string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.server.address+"/metrics", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // read only
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Errorf("metrics: %d, %v", res.StatusCode, err)
	}
	return string(text)
}

func (r radiusRig) stop() string {
	r.t.Helper()
	log, code := r.server.stop(r.t, syscall.SIGTERM)
	if code != 0 {
		r.t.Errorf("exit code %d\n%s", code, log)
	}
	r.must("audit", "verify")
	return log
}

// TestRadclient lets Debian's radclient and radtest log in.
func TestRadclient(t *testing.T) {
	t.Parallel()
	r := newRADIUSRig(t)
	four, six := r.at[0], r.at[1]
	older, otp := r.typed(2), r.typed(2)
	r.login("OTP", four, otp, radAccept)
	r.login("again", six, otp, radReject)
	r.login("older", four, older, radReject)
	r.login("IPv6", six, r.typed(2), radAccept)

	fresh := r.typed(2)
	for what, answer := range map[string]func() (string, string){
		"wrong secret": func() (string, string) {
			return r.radclient(four, "not the secret of it", pap("ada", fresh), "auth", "-t", "1", "-r", "1")
		},
		"no Message-Authenticator": func() (string, string) {
			return r.radclient(four, r.secret, fmt.Sprintf("User-Name = ada, User-Password = %q", fresh), "auth", "-t", "1", "-r", "1")
		},
		"accounting": func() (string, string) {
			return r.radclient(four, r.secret, "User-Name = ada, Acct-Status-Type = Start", "acct", "-t", "1", "-r", "1")
		},
	} {
		if got, said := answer(); got != radSilent {
			t.Errorf("%s: %s\n%s", what, got, said)
		}
	}
	if got, said := r.radclient(six, r.secret, "Message-Authenticator = 0x00", "status"); got != radAccept {
		t.Errorf("Status-Server: %s\n%s", got, said)
	}
	if got, said := r.talk("", "radtest", "-x", "ada", fresh, four, "0", r.secret); got != radAccept {
		t.Errorf("radtest, with the OTP that nobody has spent: %s\n%s", got, said)
	}
	if got, said := r.talk("", "radtest", "-x", "-6", "ada", r.typed(2), six, "0", r.secret, "0", "::1"); got != radAccept {
		t.Errorf("radtest on IPv6: %s\n%s", got, said)
	}
	for _, kind := range []string{"chap", "mschap", "eap-md5"} {
		if got, said := r.talk("", "radtest", "-x", "-t", kind, "ada", r.typed(2), four, "0", r.secret); got != radReject || !strings.Contains(said, "Only PAP is answered here.") {
			t.Errorf("%s: %s\n%s", kind, got, said)
		}
	}
	got, said := r.radclient(four, r.secret, pap("ada", otp)+", Proxy-State = 0x1234, Proxy-State = 0x56", "auth")
	_, answer, _ := strings.Cut(said, "Received")
	if got != radReject || !strings.Contains(answer, "Proxy-State = 0x1234\n\tProxy-State = 0x56") {
		t.Errorf("%s\n%s", got, said)
	}
	for _, line := range []string{
		`tokendesk_requests_total{door="radius",outcome="accepted"} 4`, `tokendesk_requests_total{door="radius",outcome="alive"} 1`,
		`tokendesk_radius_dropped_total{reason="no Message-Authenticator"} 1`, `tokendesk_radius_dropped_total{reason="malformed packet"} 0`,
	} {
		r.until(line+" among the metrics", func() bool { return strings.Contains(r.metrics(), line+"\n") }) // counted when the answer is sent
	}
	log := r.stop()
	for _, why := range []string{"wrong Message-Authenticator", "no Message-Authenticator", "neither Access-Request"} {
		if !strings.Contains(log, why) {
			t.Errorf("the log does not say %q\n%s", why, log)
		}
	}
	for _, secret := range []string{r.secret, otp[12:], fresh[12:], older[12:]} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has a secret or an OTP:\n%s", log)
		}
	}
	_, support, _ := strings.Cut(said, "Support code: ")
	support, _, _ = strings.Cut(support, `"`)
	r.out.Reset()
	if r.must("verify", "--support-code", support); !strings.Contains(r.out.String(), "older than the last") {
		t.Errorf("support code %q: %s", support, r.out.String())
	}
}

// TestRadclientLife: a key that is blocked, a client that changes its secret or is revoked, and a device that is.
func TestRadclientLife(t *testing.T) {
	t.Parallel()
	r := newRADIUSRig(t)
	r.login("before", r.at[0], r.typed(2), radAccept)
	r.must("token", "lost", "ada")
	lost := r.typed(2)
	r.login("lost", r.at[0], lost, radReject)
	temp := r.tempCode("ada", "--uses", "2", "--valid", "4h")
	r.login("temporary code", r.at[1], temp, radAccept)
	r.login("temporary code, typed otherwise", r.at[1], strings.ToLower(strings.ReplaceAll(temp, "-", " ")), radAccept)
	r.login("used up", r.at[0], temp, radReject)
	r.stdin = strings.NewReader(r.typed(2))
	r.must("token", "restore", "ada")
	r.login("pressed while it was lost", r.at[0], lost, radReject)
	r.login("back", r.at[0], r.typed(2), radAccept)

	former := r.secret
	r.secret = r.device("radius", "rotate", "vpn", "--keep", "1h")
	r.until("the new secret", func() bool { return r.alive(r.secret) })
	r.login("new secret", r.at[0], r.typed(2), radAccept)
	newer := r.secret
	r.secret = former
	r.login("former secret", r.at[0], r.typed(2), radAccept)
	r.secret = r.device("radius", "rotate", "vpn", "--now")
	r.until("the newest secret", func() bool { return r.alive(r.secret) })
	if r.alive(former) || r.alive(newer) {
		t.Error("a former secret counts beside the newest")
	}
	r.login("newest secret", r.at[0], r.typed(2), radAccept)

	r.must("client", "set", "vpn", "--group", "staff") // at once
	r.login("not in the client's group", r.at[0], r.typed(2), radReject)
	r.must("client", "set", "vpn", "--any-group", "--network", "192.0.2.1")
	r.login("not the client's network", r.at[0], r.typed(2), radSilent)
	r.must("client", "set", "vpn", "--any-network")
	r.login("anywhere", r.at[0], r.typed(2), radAccept)
	r.must("radius", "revoke", "vpn")
	r.until("the end of the device", func() bool { return !r.alive(r.secret) })
	r.stop()
}

// alive asks for nothing but an answer, which a machine that is too busy may give too late.
func (r radiusRig) alive(secret string) bool {
	r.t.Helper()
	got, _ := r.radclient(r.at[0], secret, "Message-Authenticator = 0x00", "status", "-t", "0.3", "-r", "1")
	return got == radAccept
}

// until waits for what is to be so within a second; on a busy machine, each question takes its time.
func (r radiusRig) until(what string, is func() bool) {
	r.t.Helper()
	for start := time.Now(); !is(); {
		if time.Since(start) > askTime {
			r.t.Fatalf("%s is not known after %v", what, time.Since(start))
		}
	}
}

// TestRadclientCodes: HOTP and TOTP tokens, each code once; oathtool stands for the displays. Rows 73 to 76 of reference
// validation-protocol.md §18.
func TestRadclientCodes(t *testing.T) {
	t.Parallel()
	needJudges(t, "oathtool", "pskctool")
	r := newRADIUSRig(t)
	r.setTime(time.Date(2026, 3, 2, 9, 0, 10, 0, time.UTC))
	totp, hotp := randomToken("4711-0023", token.TOTP, 8), randomToken("4711-0099", token.HOTP, 8)
	r.must("keyfile", "import", vendorFile(t, totp, hotp))
	presses := hotp.counted(t, 0, 30)
	for _, k := range []struct{ serial, code string }{{totp.serial, totp.at(t, r.now())}, {hotp.serial, presses[0]}} {
		r.stdin = strings.NewReader(k.code + "\n")
		r.must("token", "issue", k.serial, "--to", "ada", "--id-check", "staff-card")
	}
	later := func() time.Time { return r.advance(2 * time.Minute) } // no failure delays the next code
	code := totp.at(t, later())
	r.login("TOTP", r.at[0], code, radAccept)
	r.login("TOTP, in its step again", r.at[1], code, radReject)
	r.login("HOTP, ahead", r.at[0], presses[5], radAccept)
	later()
	r.login("HOTP, behind", r.at[0], presses[3], radReject)
	later()
	r.login("HOTP, the same", r.at[0], presses[5], radReject)
	later()
	r.login("with blanks", r.at[0], presses[6][:4]+" "+presses[6][4:], radAccept)
	r.login("too short", r.at[0], presses[7][:5], radReject)
	r.login("Arabic-Indic digits", r.at[0], "١٢٣٤٥٦٧٨", radReject)
	later()
	r.login("the next", r.at[0], presses[7], radAccept)
	r.stop()
}

// deaf passes datagrams on to a server, and loses the first answers.
func deaf(t *testing.T, to string, lost int64) (address string, passed *atomic.Int64) {
	t.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp", nil, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = front.Close(), back.Close() })
	var from atomic.Pointer[net.UDPAddr]
	passed = new(atomic.Int64)
	go func() {
		for buf := make([]byte, 4096); ; {
			n, client, err := front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			from.Store(client)
			_, _ = back.Write(buf[:n])
		}
	}()
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := back.Read(buf)
			if err != nil {
				return
			}
			if passed.Add(1) > lost {
				_, _ = front.WriteToUDP(buf[:n], from.Load())
			}
		}
	}()
	return front.LocalAddr().String(), passed
}

// TestRadclientRetransmits: the answers to a right OTP get lost twice, and radclient sends its packet again. It is let in, and the OTP
// was accepted once.
func TestRadclientRetransmits(t *testing.T) {
	t.Parallel()
	r := newRADIUSRig(t)
	address, answers := deaf(t, r.at[0], 2)
	otp := r.typed(2)
	if got, said := r.radclient(address, r.secret, pap("ada", otp), "auth", "-t", "1", "-r", "60"); got != radAccept || strings.Count(said, "Sent Access-Request") < 3 {
		t.Errorf("%s\n%s", got, said)
	}
	if answers.Load() < 3 {
		t.Errorf("%d answers", answers.Load())
	}
	r.login("another request with that OTP", r.at[0], otp, radReject)
	if log := r.stop(); strings.Count(log, "outcome=accepted") != 1 || strings.Count(log, "door=radius") != 2 {
		t.Errorf("decided more than twice:\n%s", log)
	}
}

// TestRadclientSplit: a password that nobody checks before the code, and a realm.
func TestRadclientSplit(t *testing.T) {
	t.Parallel()
	r := newRADIUSRig(t, "--password", "ignore", "--strip-realm")
	if got, said := r.radclient(r.at[0], r.secret, pap("ada@example.org", "pass"+r.typed(2)), "auth"); got != radAccept {
		t.Errorf("%s\n%s", got, said)
	}
	r.login("no password", r.at[0], r.typed(2), radAccept)
	r.login("temporary code", r.at[0], "pass"+r.tempCode("ada", "--uses", "2", "--valid", "4h"), radAccept)
	r.login("only a password", r.at[0], "password", radReject)
	r.stop()
}

// TestRadclientBehindOneSocket: while systemd holds the socket, a request that comes between two servers is answered by the second.
func TestRadclientBehindOneSocket(t *testing.T) {
	t.Parallel()
	r := newRADIUSRig(t)
	r.stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv6zero}) // as in tokendesk-radius.socket: of both kinds
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	var held [2]*os.File
	if held[0], err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	if held[1], err = u.File(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(u.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	start := func() { r.server = r.launched(r.inheriting("http:radius", held[:])) }
	start()
	r.login("the first server, IPv4", "127.0.0.1:"+port, r.typed(2), radAccept)
	r.login("the first server, IPv6", "[::1]:"+port, r.typed(2), radAccept)
	r.stop()
	otp := r.typed(2)
	answered := make(chan string, 1)
	go func() {
		got, _ := r.radclient("127.0.0.1:"+port, r.secret, pap("ada", otp), "auth", "-t", "30", "-r", "2")
		answered <- got
	}()
	start()
	if got := <-answered; got != radAccept {
		t.Errorf("asked while there was no server: %s", got)
	}
	r.stop()
}
