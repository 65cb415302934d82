# Over pcscd and libccid: of two keys of one kind the serial number picks one; a press that the system's keyboard types proves the write, and the keyboard
# and the FIDO device never go away. Then settings: the key restarts with another product ID and is found again.
PROGRAM=tokendesk TRANSPORT=ccid
source "$GUEST_DIR/walk.sh"
start_vkeys 5.4.3,serial=$SERIAL 5.4.3,serial=1111111
for n in 1 2; do wait_for 60 usbip attach -r 127.0.0.1 -b 1-$n; done
wait_for 60 keys_attached 2
start_pcscd
td init
wait_for 60 td device info --transport ccid --serial 1111111
want "serials" "$(td device list --transport ccid -o csv | grep -o '^[0-9]*' | sort | tr '\n' ' ')" "1111111 $SERIAL "
td provision --slot 2 --verify none --transport ccid --serial 1111111
want "slots by ykman" "$(ykman --device 1111111 otp info)" $'Slot 1: empty\nSlot 2: programmed'
want "slots of the other" "$(ykman --device $SERIAL otp info)" $'Slot 1: empty\nSlot 2: empty'
stop_pcscd
stop_vkeyd

start_vkeyd 5.4.3
attach_key
start_pcscd
wait_for 60 td device info --transport ccid
rm -f /run/presses
mkfifo /run/presses
"$GUEST_DIR/$PROGRAM" --store $STORE provision --slot 2 --transport ccid </run/presses >/run/shown 2>/run/said & running=$!
exec 9>/run/presses
wait_for 60 grep -q 'now the key blinks' /run/said || { cat /run/said; fail "no touch was asked for"; }
keyboard_back
typed 2 >&9
wait $running || { cat /run/said; fail provision; }
exec 9>&-
grep -q '^Proof .*touch, counters 1/0$' /run/shown
verified 2
keyboard_back
ls /sys/class/hidraw | grep -q hidraw1 || fail "the FIDO device is gone"
stop_pcscd

(wait_for 60 keys_attached 0 && attach_key) & again=$!
td device config --disable fido --lock-code set --yes --transport hidraw
wait $again
want "product ID" "$(cat /sys/bus/usb/devices/*/idProduct | grep '^04')" 0405
td device info | grep -q '^Lock code *kept'
