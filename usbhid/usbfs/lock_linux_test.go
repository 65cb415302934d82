package usbfs

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokendesk/tokendesk/usbhid"
)

// holderEnv makes a copy of the test binary take the lock of the file it names and hold it until killed.
const holderEnv = "TOKENDESK_TEST_LOCK_HOLDER"

func TestMain(m *testing.M) {
	if node := os.Getenv(holderEnv); node != "" {
		hold(node)
	}
	os.Exit(m.Run())
}

func hold(node string) {
	lock, err := Acquire(usbhid.Attached{USBNode: node})
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString("held\n")
	os.Stdin.Read(make([]byte, 1)) // until killed
	lock.Close()
	os.Exit(0)
}

func newNode(t *testing.T, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "002")
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLockExcludesWithinProcess(t *testing.T) {
	t.Parallel()
	key := usbhid.Attached{USBNode: newNode(t, 0o400)} // read permission is enough
	first, err := Acquire(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(key); !errors.Is(err, usbhid.ErrBusy) {
		t.Fatalf("second lock: got %v, want ErrBusy", err)
	}
	also, err := unix.Dup(int(first.node.Fd())) // as a process has it that was just started
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(also)
	for range 2 {
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Acquire(key)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	again.Close()
}

func TestLockExcludesOtherProcessUntilKilled(t *testing.T) {
	t.Parallel()
	key := usbhid.Attached{USBNode: newNode(t, 0o600)}
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), holderEnv+"="+key.USBNode)
	if _, err := holder.StdinPipe(); err != nil { // left open, so that the holder waits
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer holder.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("holder said %q, %v", line, err)
	}
	if _, err := Acquire(key); !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("while held: got %v, want ErrBusy", err)
	}
	holder.Process.Kill()
	holder.Wait() // the kill is its error
	lock, err := Acquire(key)
	if err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	lock.Close()
}

func TestLockErrors(t *testing.T) {
	t.Parallel()
	if _, err := Acquire(usbhid.Attached{USBNode: filepath.Join(t.TempDir(), "gone")}); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("no node: got %v, want ErrGone", err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may open everything")
	}
	denied := newNode(t, 0)
	_, err := Acquire(usbhid.Attached{USBNode: denied})
	var permission *usbhid.PermissionError
	if !errors.As(err, &permission) || permission.Node != denied {
		t.Errorf("got %v, want a PermissionError for the node", err)
	}
	raw := usbhid.Attached{USBNode: denied, HIDRaw: newNode(t, 0o600)}
	lock, err := Acquire(raw)
	if err != nil {
		t.Fatalf("hidraw node only: %v", err)
	}
	defer lock.Close()
	if _, err := Acquire(raw); !errors.Is(err, usbhid.ErrBusy) {
		t.Errorf("hidraw node only, second: got %v, want ErrBusy", err)
	}
}

func TestConnectOnAPlainFile(t *testing.T) {
	t.Parallel()
	err := Connect(usbhid.Attached{Path: "1-1", USBNode: newNode(t, 0o600)})
	if err == nil || !strings.Contains(err.Error(), "inappropriate ioctl") {
		t.Errorf("got %v, want the kernel's refusal", err)
	}
}

// TestRequests compares the request numbers with the size and direction they are made of.
func TestRequests(t *testing.T) {
	t.Parallel()
	request := func(direction, size, number uintptr) uintptr { return direction<<30 | size<<16 | 'U'<<8 | number }
	const none, write, readWrite = 0, 1, 3
	for _, test := range []struct {
		name      string
		got, want uintptr
	}{
		{"CONNECT", usbdevfsConnect, request(none, 0, 23)},
		{"GETDRIVER", usbdevfsGetDriver, request(write, 4+256, 8)},
		{"IOCTL", usbdevfsIoctl, request(readWrite, 8+pointerSize, 18)},
	} {
		if test.got != test.want {
			t.Errorf("%s is %#x, want %#x", test.name, test.got, test.want)
		}
	}
}

const pointerSize = 32 << (^uintptr(0) >> 63) / 8
