//go:build linux

package vm

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed boot.sh
var bootScript string

//go:embed prelude.sh
var preludeScript string

// Script is what one boot of the guest runs.
type Script struct {
	// Text is bash, sourced after prelude.sh; errexit is off unless it sets it.
	Text string
	// Files maps a name below $GUEST_DIR to the host file that is copied there with its mode before boot.
	Files map[string]string
	// Timeout ends the guest from outside; 0 means 10 minutes: an idle machine boots in a few seconds, a busy one in a minute.
	Timeout time.Duration
}

// Result is what the script did.
type Result struct {
	// Output is what the script wrote to standard output and standard error, in order, without carriage returns.
	Output string
	// Status is the script's exit status, 0..255.
	Status int
	// Wall is the time from starting QEMU to its end.
	Wall time.Duration
}

const defaultTimeout = 10 * time.Minute

// serialTail is how many bytes of the console an error shows when a guest did not come to its end.
const serialTail = 2000

// Run boots a guest, runs the script and powers off. The error is for a guest that did not get to the end of the
// script (it holds the end of the console's text); a script that fails is a Status. When ctx or the timeout ends, QEMU is
// killed. Guests may run side by side.
func (img *Image) Run(ctx context.Context, s Script) (Result, error) {
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	dir, err := img.layOut(s)
	if dir != "" {
		defer os.RemoveAll(dir)
	}
	if err != nil {
		return Result{}, fmt.Errorf("guest: %w", err)
	}
	nonce := rand.Text()
	serial := filepath.Join(dir, "serial")
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", img.arguments(dir, serial, nonce)...)
	// The guest dies with this process. The kernel ties that to the thread that started it, so the thread is kept.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	said, err := qemu.CombinedOutput()
	wall := time.Since(start)
	console, _ := os.ReadFile(serial)
	res, ok := between(string(console), nonce)
	res.Wall = wall
	switch {
	case ok:
		return res, nil
	case ctx.Err() != nil:
		err = fmt.Errorf("stopped after %s: %w", wall.Round(time.Second), ctx.Err())
	case err == nil:
		err = errors.New("powered off before the script ended")
	}
	tail := string(console[max(0, len(console)-serialTail):])
	return res, fmt.Errorf("guest: %w\n%s%s", err, said, tail)
}

// layOut makes the directory that the guest sees as $GUEST_DIR. It lies in the cache because the guest has a /tmp of its
// own. The caller removes it, also after an error.
func (img *Image) layOut(s Script) (dir string, err error) {
	dir, err = os.MkdirTemp(filepath.Join(img.cache, "jobs"), "job-")
	if err != nil {
		return "", err
	}
	texts := map[string]string{"boot.sh": bootScript, "prelude.sh": preludeScript, "script.sh": s.Text}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return dir, err
		}
	}
	for name, from := range s.Files {
		info, err := os.Stat(from)
		if err != nil {
			return dir, err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return dir, err
		}
		if err := copyFile(from, to, info.Mode().Perm()); err != nil {
			return dir, err
		}
	}
	return dir, nil
}

// arguments is QEMU's command line. Software emulation, because /dev/kvm may accept calls and yet hang a guest at boot
// (reference usb-guest.md).
func (img *Image) arguments(dir, serial, nonce string) []string {
	words := []string{
		"console=ttyS0", "loglevel=1", "panic=-1", "random.trust_cpu=on",
		`"guest_dir=` + dir + `"`, `"guest_modules=` + img.root + `"`, "guest_nonce=" + nonce,
	}
	return []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
		"-kernel", img.kernel, "-initrd", img.initrd, "-append", strings.Join(words, " "),
		"-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
		"-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
		"-serial", "file:" + serial,
	}
}

// between cuts the script's output out of the console's text. The firmware writes terminal escapes in front of the first
// line, so the begin marker may stand anywhere in one; boot.sh puts a line end in front of both markers.
func between(console, nonce string) (Result, bool) {
	console = strings.ReplaceAll(console, "\r", "")
	_, out, found := strings.Cut(console, "@@begin "+nonce+"\n")
	if !found {
		return Result{}, false
	}
	out, rest, ended := strings.Cut(out, "\n@@end "+nonce+" ")
	if !ended {
		return Result{Output: out}, false
	}
	number, _, _ := strings.Cut(rest, "\n")
	status, err := strconv.Atoi(number)
	return Result{Output: out, Status: status}, err == nil
}
