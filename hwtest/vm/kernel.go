//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// metaPackage is the Debian package whose dependency is the current generic kernel. The cloud flavour lacks USB.
const metaPackage = "linux-image-amd64"

// bootModules are what init needs to reach the host's root; everything else is loaded from there. Source: reference
// usb-guest.md.
var bootModules = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay"}

// kernelVersion is the release of the kernel that metaPackage depends on now. Where apt does not know (no package lists),
// it is the newest release in the cache.
func kernelVersion(ctx context.Context, cache string) (string, error) {
	out, err := output(ctx, "", "apt-cache", "depends", metaPackage)
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return v, nil
		}
	}
	cached, _ := filepath.Glob(filepath.Join(cache, "*", "root", "boot", "vmlinuz-*"))
	if len(cached) > 0 {
		slices.Sort(cached)
		return strings.TrimPrefix(filepath.Base(cached[len(cached)-1]), "vmlinuz-"), nil
	}
	if err == nil {
		err = errors.New("no such dependency (run apt-get update)")
	}
	return "", fmt.Errorf("ask for the kernel of %s: %w", metaPackage, err)
}

// fetchKernel downloads and unpacks the kernel's package into cache/version, which appears complete or not at all.
// Nothing is installed on the host.
func fetchKernel(ctx context.Context, cache, version string) error {
	tmp, err := os.MkdirTemp(cache, "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	// The download sandbox user of apt may not enter a home directory.
	if _, err := output(ctx, tmp, "apt-get", "-o", "APT::Sandbox::User=", "download", "linux-image-"+version); err != nil {
		return err
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if len(debs) != 1 {
		return fmt.Errorf("apt-get download left %d packages, want 1", len(debs))
	}
	root := filepath.Join(tmp, version, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if _, err := output(ctx, tmp, "dpkg", "-x", debs[0], root); err != nil {
		return err
	}
	// Releases after bookworm ship usr/lib/modules only; modprobe -d looks below lib.
	if _, err := os.Stat(filepath.Join(root, "lib")); err != nil {
		if err := os.Symlink("usr/lib", filepath.Join(root, "lib")); err != nil {
			return err
		}
	}
	if _, err := output(ctx, tmp, "depmod", "-b", root, version); err != nil {
		return err
	}
	return os.Rename(filepath.Join(tmp, version), filepath.Join(cache, version))
}

// buildInitrd packs busybox, init.sh and the boot modules with their dependencies. The modules are named by their load
// order, so that init inserts them as the shell lists them.
func (img *Image) buildInitrd(ctx context.Context) error {
	tmp, err := os.MkdirTemp(img.cache, "initramfs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	tree := filepath.Join(tmp, "tree")
	for _, d := range []string{"bin", "dev", "proc", "sys", "host", "rw", "root", "modules"} {
		if err := os.MkdirAll(filepath.Join(tree, d), 0o755); err != nil {
			return err
		}
	}
	busybox, err := lookTool("busybox")
	if err != nil {
		return err
	}
	if err := copyFile(busybox, filepath.Join(tree, "bin", "busybox"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tree, "init"), []byte(initScript), 0o755); err != nil {
		return err
	}
	modules, err := img.moduleFiles(ctx)
	if err != nil {
		return err
	}
	for i, m := range modules {
		name := fmt.Sprintf("%02d-%s", i, filepath.Base(m))
		if err := copyFile(m, filepath.Join(tree, "modules", name), 0o644); err != nil {
			return err
		}
	}
	packed := filepath.Join(tmp, "initramfs")
	if err := pack(ctx, tree, packed); err != nil {
		return err
	}
	return os.Rename(packed, img.initrd)
}

// moduleFiles lists the files of bootModules and what they depend on, in load order, each once.
func (img *Image) moduleFiles(ctx context.Context) ([]string, error) {
	var files []string
	for _, m := range bootModules {
		out, err := output(ctx, "", "modprobe", "-d", img.root, "-S", img.Version, "--show-depends", m)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			path, ok := strings.CutPrefix(strings.TrimSpace(line), "insmod ")
			if ok && !slices.Contains(files, path) {
				files = append(files, path)
			}
		}
	}
	return files, nil
}

// pack writes the tree as a cpio archive in the kernel's newc format.
func pack(ctx context.Context, tree, to string) error {
	var names bytes.Buffer
	err := filepath.WalkDir(tree, func(path string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(tree, path); err == nil {
			names.WriteString(rel + "\n")
		}
		return err
	})
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0")
	cmd.Dir, cmd.Stdin, cmd.Stdout = tree, &names, out
	return errors.Join(cmd.Run(), out.Close())
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
