# ykman changes what the device shows: a lock code by the FIDO interface, and with it, by the card, which applications are
# enabled. The key reboots and comes back with another PID; its slots stay.
product() { cat /sys/bus/usb/devices/1-1/idProduct; }
state() { vkeyd state; }
lock=00112233445566778899aabbccddeeff
start_vkeyd 5.4.3
attach_key
"$GUEST_DIR/slot" hidraw write 2 $PUBLIC $PRIVATE $KEY - -
ykman config set-lock-code -n $lock -f
[[ $(state) == *0a0101* ]] || fail "not locked: $(state)"
start_pcscd
refused ykman --reader "Yubico YubiKey" config usb -d U2F -d FIDO2 -L ffffffffffffffffffffffffffffffff -f
want "PID" "$(product)" 0407
ykman --reader "Yubico YubiKey" config usb -d U2F -d FIDO2 -L $lock -f
wait_for 60 keys_attached 0
attach_key
want "PID" "$(product)" 0405
[[ $(state) == *0302003d* || $(state) == *03020039* ]] || fail "enabled: $(state)"
want "OTP" "$(opened $PRIVATE $KEY "$(typed 2)")" "$PUBLIC 1 0"
