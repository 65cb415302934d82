# What the scenarios of the command line share. It is sourced; PROGRAM and TRANSPORT say which program, over which way.
STORE=/run/store
rm -rf $STORE

td() { "$GUEST_DIR/$PROGRAM" --store $STORE "$@"; }

# begin COMMAND…: start a command that asks for a touch, and wait until it does. Its process is $running. With job control
# the process does not inherit an ignored SIGINT.
begin() {
	set -m
	"$GUEST_DIR/$PROGRAM" --store $STORE "$@" --transport "$TRANSPORT" </dev/null >/run/shown 2>/run/said & running=$!
	set +m
	wait_for 60 grep -q 'now the key blinks' /run/said || { cat /run/said; fail "no touch was asked for"; }
}

begin_provision() { begin provision --slot "$@"; }

# provision_touched SLOT FLAG…: the whole of it.
provision_touched() {
	begin_provision "$@"
	press "$1"
	wait $running || { cat /run/said; fail "provision"; }
	cat /run/shown
}

# verified SLOT: what the slot types is accepted.
verified() { typed "$1" | td verify; }

# whole_walk: program slot 2, let Debian's clients look, use the key.
whole_walk() {
	start_vkeyd 5.4.3
	attach_key
	td init
	td person add ada
	begin_provision 2 --to ada
	if [[ $TRANSPORT == libusb ]] && keyboard_ready; then fail "the keyboard is there while libusb holds the key"; fi
	press 2
	wait $running || { cat /run/said; fail provision; }
	keyboard_back
	grep -q '^Proof .*touch, counters 1/0$' /run/shown
	local ours theirs
	ours=$(td device info --transport "$TRANSPORT" -o json)
	keyboard_back
	theirs=$(ykinfo -a)
	want serial "$(sed -n 's/^serial: //p' <<<"$theirs")" $SERIAL
	grep -q "\"serial\": $SERIAL" <<<"$ours"
	grep -q "\"firmware\": \"$(sed -n 's/^version: //p' <<<"$theirs")\"" <<<"$ours"
	want "slots by ykinfo" "$(grep -c '^slot2_status: 1$' <<<"$theirs") $(grep -c '^slot1_status: 0$' <<<"$theirs")" "1 1"
	grep -q '"slot_2": "in use"' <<<"$ours" && grep -q '"slot_1": "empty"' <<<"$ours"
	want "slots by ykman" "$(ykman otp info)" $'Slot 1: empty\nSlot 2: programmed'
	verified 2
	keyboard_back
}

# differ FIRMWARE RIVAL SETS: let a rival and our program do the same to two keys.
differ() {
	start_vkeys $1,serial=1000001 $1,serial=1000002
	for n in 1 2; do wait_for 60 usbip attach -r 127.0.0.1 -b 1-$n; done
	wait_for 60 keys_attached 2
	"$GUEST_DIR/differ" $VKEYD_SOCKET "$@"
	stop_vkeyd
}
