# One key is keyboard, FIDO device and card reader at once: pcscd and libccid read its card while its keyboard types and
# libykpers holds its OTP interface; afterwards all three are still there.
fido_ready() {
	local d
	for d in /sys/class/hidraw/*/device/report_descriptor; do
		[[ $(od -An -tx1 -N3 "$d") == " 06 d0 f1" ]] && return
	done
	return 1
}
start_vkeyd 5.4.3
attach_key
wait_for 60 fido_ready || fail "no hidraw node of a FIDO device"
start_pcscd
want "list" "$(ykman list)" "YubiKey 5 NFC (5.4.3) [OTP+FIDO+CCID] Serial: $SERIAL"
want "slots by the card" "$(ykman --reader "Yubico YubiKey" otp info)" $'Slot 1: empty\nSlot 2: empty'
"$GUEST_DIR/slot" libusb write 1 $PUBLIC $PRIVATE $KEY - -
keyboard_back
want "serial by libykpers" "$(ykinfo -s)" "serial: $SERIAL"
keyboard_back
want "OTP" "$(opened $PRIVATE $KEY "$(typed 1)")" "$PUBLIC 1 0"
want "slots by the card" "$(ykman --reader "Yubico YubiKey" otp info)" $'Slot 1: programmed\nSlot 2: empty'
fido_ready || fail "the FIDO device is gone"
