package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/ykslot/modhex"
)

// BenchmarkYubiserver asks Debian's yubiserver, on one connection.
func BenchmarkYubiserver(b *testing.B) {
	r := newRig(b, 2)
	r.must("init")
	keys := importPressers(b, r, 1)
	address, client := yubiserver(b, keys)
	load{address: address, client: client, keys: keys, connections: 1}.run(b)
}

// yubiserver starts Debian's server with the keys and a client, number 1. It becomes a daemon of a user of its own: its files are that
// user's, and it ends with the first process of its PID namespace.
func yubiserver(b *testing.B, keys []*presser) (address string, c relying) {
	b.Helper()
	needJudges(b, "yubiserver", "yubiserver-admin")
	dir, err := os.MkdirTemp("", "yubiserver")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "yubiserver.sqlite")
	first, err := os.ReadFile("/etc/yubiserver/yubiserver.sqlite.init")
	if err = errors.Join(err, os.WriteFile(file, first, 0o600)); err != nil {
		b.Fatal(err)
	}
	admin := func(words ...string) {
		if out, err := exec.CommandContext(b.Context(), "yubiserver-admin", append([]string{"-b", file}, words...)...).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
	for i, k := range keys {
		admin("-y", "-a", fmt.Sprint("key", i), modhex.EncodeToString(k.publicID), hex.EncodeToString(k.drawn[16:]), hex.EncodeToString(k.drawn[:16]))
	}
	const key = "12345678901234567890"
	admin("-p", "-a", "bench", key)
	if who, err := user.Lookup("yubiserver"); err == nil {
		n, err := strconv.Atoi(who.Uid)
		if err = errors.Join(err, os.Chown(dir, n, -1), os.Chown(file, n, -1)); err != nil {
			b.Fatal(err)
		}
	}
	port := freePort(b)
	cmd := exec.CommandContext(b.Context(), "sh", "-c", `yubiserver -d "$1" -l "$2" -p "$3"; exec sleep 3600`, "sh", file, filepath.Join(dir, "log"), port)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	waitFor(b, "127.0.0.1:"+port)
	return "127.0.0.1:" + port, relying{1, base64.StdEncoding.EncodeToString([]byte(key))}
}

// freePort is one that nobody listens on now, for a program that cannot choose one by itself.
func freePort(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err = errors.Join(err, l.Close()); err != nil {
		b.Fatal(err)
	}
	return port
}

// waitFor returns when somebody listens.
func waitFor(b *testing.B, address string) {
	b.Helper()
	for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			b.Fatal(err)
		}
	}
}
