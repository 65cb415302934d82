# Process 1 of the guest after init.sh: make a small system, run the script, print its output between markers, power off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/run/home
export GUEST_DIR=$guest_dir GUEST_MODULES=$guest_modules
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mkdir -p /dev/shm /dev/pts /run/home
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
ip link set lo up
for m in vhci_hcd usbhid hid_generic evdev; do
	modprobe -d "$GUEST_MODULES" "$m" || echo "guest: modprobe $m failed"
done
# The script writes into a pipe, not a terminal, so that programs behave as under a test on the host. The reader is waited
# for with a bound: a daemon the script left behind may still hold the pipe.
mkfifo /run/output
stty -F /dev/ttyS0 -opost
echo; echo "@@begin $guest_nonce"
cat /run/output & reader=$!
bash -c 'source "$GUEST_DIR/prelude.sh" && source "$GUEST_DIR/script.sh"' script </dev/null >/run/output 2>&1
status=$?
for _ in {1..300}; do kill -0 $reader 2>/dev/null || break; sleep 0.1; done
echo; echo "@@end $guest_nonce $status"
poweroff -f 2>/dev/null || busybox poweroff -f
