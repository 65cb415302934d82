# Three keys at once, of three generations: each is a device of its own, with its own keyboard; one that is pulled out
# takes nothing of the others along.
keyboards() { # N: that many OTP interfaces have their keyboard
	set -- "$1" /sys/bus/usb/drivers/usbhid/*:1.0/*/hidraw/hidraw*
	[[ $# == $(($1 + 1)) && -e $2 ]]
}
serials() { ykman list --serials 2>/dev/null | sort | tr '\n' ' '; }
order() { "$GUEST_DIR/vkeyd" -control $VKEYD_SOCKET "$@"; }
start_vkeys 5.4.3,serial=1000001 3.4.3,serial=1000002 2.4.3,serial=1000003
for n in 1 2 3; do wait_for 60 usbip attach -r 127.0.0.1 -b 1-$n; done
wait_for 60 keys_attached 3
wait_for 60 keyboards 3
start_pcscd
want "serials" "$(serials)" "1000001 1000002 1000003 "
order unplug 2
wait_for 60 keys_attached 2
order plug 2
order unplug 1
wait_for 60 keys_attached 1
wait_for 60 keyboards 1
wait_for 60 usbip attach -r 127.0.0.1 -b 1-2
wait_for 60 keys_attached 2
wait_for 60 keyboards 2
stop_pcscd # without udev it does not see a reader that comes later
start_pcscd
want "serials" "$(serials)" "1000002 1000003 "
