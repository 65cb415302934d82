#!/bin/busybox sh
# The guest's first process: reach the host's root over 9p, put an overlay in memory on it, become bash.
# guest_dir comes from the kernel command line, which hands unknown name=value words to init's environment.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
for m in /modules/*; do $b insmod "$m" || echo "guest: insmod $m failed"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose root /host || echo "guest: mount 9p failed"
$b mount -t tmpfs tmpfs /rw
$b mkdir /rw/upper /rw/work
$b mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /root || echo "guest: mount overlay failed"
for d in proc sys dev; do $b mount --move /$d /root/$d; done
exec $b switch_root /root /bin/bash "$guest_dir/boot.sh"
