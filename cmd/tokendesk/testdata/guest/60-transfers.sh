# Control transfers of a whole provision, from opening the key to the proof, counted at the key, beside what ykpersonalize
# and ykman need for the same: read the serial number, write the slot with a public ID and an access code. No more than the
# better of them. (Bare slot writes are compared in hwtest/vm.)
source "$GUEST_DIR/walk.sh"
counted() { # NAME COMMAND…
	local said gets sets
	start_vkeyd 5.4.3
	attach_key
	reset_transfers
	"${@:2}" >/dev/null
	said=$(transfers)
	eval "$said"
	total=$((gets + sets))
	echo "transfers: $1: $said, $total in all"
	stop_vkeyd
}
PROGRAM=tokendesk
for TRANSPORT in libusb hidraw; do
	rm -rf $STORE
	td init
	counted "provision over $TRANSPORT" provision_touched 1
	declare "$TRANSPORT=$total"
done
by_ykpersonalize() {
	ykinfo -s
	ykpersonalize -1 -y -a$KEY -ofixed=vvccccifrnnb -ouid=$PRIVATE -oserial-api-visible -oaccess=0a0b0c0d0e0f
}
by_ykman() {
	ykman otp yubiotp 1 -S -p $PRIVATE -k $KEY -f
	ykman otp settings 1 -A 0a0b0c0d0e0f -f
}
counted "ykinfo -s, ykpersonalize" by_ykpersonalize; best=$total
counted "ykman otp yubiotp, settings" by_ykman; ((total < best)) && best=$total
((libusb <= best && hidraw <= best)) || fail "ours takes $libusb and $hidraw transfers, the better client $best"
