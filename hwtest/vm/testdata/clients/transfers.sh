# Control transfers for writing one slot with given values, counted at the key, from an empty key each time. Ours must not
# need more than the better of the two stock clients.
count() { # NAME COMMAND…
	start_vkeyd 5.4.3
	attach_key
	reset_transfers
	"${@:2}" >/dev/null
	local gets sets said
	said=$(transfers)
	eval "$said"
	total=$((gets + sets))
	echo "transfers: $1: $said, $total in all"
	stop_vkeyd
}
count "our Session, libusb" "$GUEST_DIR/slot" libusb write 1 $PUBLIC $PRIVATE $KEY - -; libusb=$total
count "our Session, hidraw" "$GUEST_DIR/slot" hidraw write 1 $PUBLIC $PRIVATE $KEY - -; hidraw=$total
count ykpersonalize ykpersonalize -1 -y -a$KEY -ofixed=vvccccbtvrgb -ouid=$PRIVATE -oserial-api-visible; best=$total
count ykman ykman otp yubiotp 1 -P vvccccbtvrgb -p $PRIVATE -k $KEY -f; ((total < best)) && best=$total
((libusb <= best && hidraw <= best)) || fail "ours takes $libusb and $hidraw transfers, the better client $best"
