// Package vm boots a small Linux guest with a real USB stack and runs a bash script in it, so that a virtual key served
// over USB/IP is a real device for usbhid, hidraw, libusb and stock clients, on a host that has no USB support at all.
//
// The guest is QEMU in software emulation with a distribution kernel, two processors, no network and no disk: the host's
// root directory is mounted read-only over virtio-9p below an overlay in memory, so every program installed on the host
// is there and nothing it writes survives. Reference usb-guest.md is the recipe.
//
//	img, err := vm.Prepare(ctx)                     // download and unpack a kernel once, then reuse it
//	res, err := img.Run(ctx, vm.Script{Text: `ykinfo -v`})
//	fmt.Println(res.Status, res.Output)
//
// Scripts run after prelude.sh, which documents the helper functions (start_vkeyd, attach_key, press, wait_for …). The
// guest has its own /tmp and /run and does not see those of the host: hand files over with Script.Files, which arrive in
// the directory $GUEST_DIR.
//
// The cache lives in tokendesk/guest below os.UserCacheDir, or in the directory that EnvCache names. `go run
// ./hwtest/vm/prepare` fills it ahead of time (70 MB download, 400 MB unpacked). Debian packages needed: qemu-system-x86,
// busybox-static, kmod, cpio; for the tests' clients also usbip, yubikey-manager, yubikey-personalization, usbutils,
// pcscd, yubico-piv-tool, opensc, openssl.
//
// Only linux/amd64 hosts: the guest runs the host's own programs.
package vm

// EnvGuest is the environment variable that demands the guest: with "1", tests that need it run, and fail where a tool
// is missing; otherwise they are skipped.
const EnvGuest = "TOKENDESK_GUEST"

// EnvCache is the environment variable that moves the cache directory.
const EnvCache = "TOKENDESK_GUEST_CACHE"
