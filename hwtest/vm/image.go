//go:build linux

package vm

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Image is a kernel with its modules and an initramfs, unpacked in the cache. It is read-only after Prepare and may be
// used by any number of processes at once.
type Image struct {
	// Version is the kernel's release, e.g. "6.1.0-56-amd64".
	Version string
	cache   string // the cache directory; jobs are made below it
	kernel  string // path of vmlinuz
	initrd  string // path of the initramfs
	root    string // directory with lib/modules/<Version>, for modprobe -d
}

// ErrMissing is wrapped by the error for a program that is not installed; its text names the Debian package.
var ErrMissing = errors.New("a program for the guest is not installed")

//go:embed init.sh
var initScript string

// tools are the programs Prepare and Run start, with the Debian package each comes from. Source: reference
// usb-guest.md, first row.
var tools = []struct{ program, pkg string }{
	{"qemu-system-x86_64", "qemu-system-x86"},
	{"busybox", "busybox-static"},
	{"depmod", "kmod"},
	{"modprobe", "kmod"},
	{"cpio", "cpio"},
}

// Prepare finds the guest's kernel in the cache, or downloads, unpacks and indexes it there. It may run in several
// processes at once: one does the work under a lock file, the others wait for it.
func Prepare(ctx context.Context) (*Image, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("guest: needs an amd64 host, this is %s", runtime.GOARCH)
	}
	for _, t := range tools {
		if _, err := lookTool(t.program); err != nil {
			return nil, fmt.Errorf("guest: %w: %s (apt-get install %s)", ErrMissing, t.program, t.pkg)
		}
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(cache, "jobs"), 0o755); err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return nil, fmt.Errorf("guest: lock the cache: %w", err)
	}
	defer unlock()
	dropOldJobs(cache, time.Now())
	version, err := kernelVersion(ctx, cache)
	if err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	dir := filepath.Join(cache, version)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		err = fetchKernel(ctx, cache, version)
		if err != nil {
			return nil, fmt.Errorf("guest: kernel %s: %w", version, err)
		}
	}
	img := &Image{Version: version, cache: cache, root: filepath.Join(dir, "root")}
	img.kernel = filepath.Join(img.root, "boot", "vmlinuz-"+version)
	sum := sha256.Sum256([]byte(initScript + strings.Join(bootModules, " ")))
	img.initrd = filepath.Join(dir, fmt.Sprintf("initramfs-%x.cpio", sum[:4]))
	if _, err := os.Stat(img.initrd); errors.Is(err, fs.ErrNotExist) {
		if err := img.buildInitrd(ctx); err != nil {
			return nil, fmt.Errorf("guest: initramfs: %w", err)
		}
	}
	return img, nil
}

// oldJob is the age at which a job's directory can only be one that a killed process left behind.
const oldJob = 3 * time.Hour

// dropOldJobs removes such directories; what cannot be removed stays.
func dropOldJobs(cache string, now time.Time) {
	jobs, _ := filepath.Glob(filepath.Join(cache, "jobs", "*"))
	for _, j := range jobs {
		if info, err := os.Stat(j); err == nil && now.Sub(info.ModTime()) > oldJob {
			_ = os.RemoveAll(j)
		}
	}
}

// cacheDir is the directory EnvCache names, else tokendesk/guest below the user's cache directory.
func cacheDir() (string, error) {
	if d := os.Getenv(EnvCache); d != "" {
		return filepath.Abs(d)
	}
	d, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(d, "tokendesk", "guest"), nil
}

// lookTool finds a program in PATH or in the system directories that a user's PATH often lacks.
func lookTool(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// output runs a program and returns its standard output; the error carries the last line it wrote to standard error.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	path, err := lookTool(name)
	if err != nil {
		return "", fmt.Errorf("%w: %s", ErrMissing, name)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, lines[len(lines)-1])
	}
	return string(out), err
}
