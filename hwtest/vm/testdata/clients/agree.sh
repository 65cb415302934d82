# What our Session wrote over either transport, ykinfo and ykman see too; after Close the keyboard is back.
start_vkeyd 5.4.3
attach_key
n=0
for transport in libusb hidraw; do
	"$GUEST_DIR/slot" $transport write $((++n)) $PUBLIC $PRIVATE $KEY - -
	keyboard_back
	ours=$("$GUEST_DIR/slot" $transport info)
	keyboard_back
	theirs=$(ykinfo -a)
	for field in serial version programming_sequence slot1_status slot2_status; do
		want "$transport: $field" "$(grep "^$field:" <<<"$ours")" "$(grep "^$field:" <<<"$theirs")"
	done
	keyboard_back
	want "$transport: sequence" "$(grep ^prog <<<"$ours")" "programming_sequence: $n"
done
said=$(ykman otp info)
want "ykman" "$said" $'Slot 1: programmed\nSlot 2: programmed'
want "ykman's serial" "$(ykman list --serials)" $SERIAL
want "OTP" "$(opened $PRIVATE $KEY "$(typed 1)")" "$PUBLIC 1 0"
