# Four keys in one batch, over libusb and over hidraw: three at once, the fourth while the three are held. No touch of a held key
# types into the system; its FIDO device and its card reader stay. All keys end in stock, and the manifest verifies.
fido_devices() { # N
	local n=0 d
	for d in /sys/class/hidraw/*/device/report_descriptor; do
		[[ $(od -An -tx1 -N3 "$d") != " 06 d0 f1" ]] || n=$((n + 1))
	done
	[[ $n == "$1" ]]
}
keyboards() { # N: that many keys have keyboard and hidraw node
	set -- "$1" /sys/bus/usb/drivers/usbhid/*:1.0/*/hidraw/hidraw*
	[[ $# == $(($1 + 1)) && -e $2 ]]
}
readers() { # N: so many readers does the smart-card service show
	[[ $(ykman list --readers | grep -c Yubico) == "$1" ]]
}
order() { "$GUEST_DIR/vkeyd" -control $VKEYD_SOCKET "$@"; }
lanes() { # N STATE: that many keys have come to the state
	[[ $(grep "\"state\":\"$2\"" /run/shown | grep -o '"serial":[0-9]*' | sort -u | wc -l) == "$1" ]]
}
for pair in tokendesk:libusb tokendesk-pure:hidraw; do
	PROGRAM=${pair%:*} TRANSPORT=${pair#*:}
	source "$GUEST_DIR/walk.sh"
	rm -f /run/typed.* /run/box.json
	start_vkeys 5.4.3,serial=1000001 5.4.3,serial=1000002 5.4.3,serial=1000003 5.4.3,serial=1000004
	for n in 1 2 3; do wait_for 60 usbip attach -r 127.0.0.1 -b 1-$n; done
	wait_for 60 keyboards 3
	wait_for 60 fido_devices 3
	start_pcscd
	td init
	td provision profile add staff --slot 2 --stock-prefix R-
	for n in /sys/bus/usb/drivers/usbhid/*:1.0/*/input/input*/event*; do
		cat "/dev/input/${n##*/}" >"/run/typed.${n##*/}" 2>/dev/null &
	done
	td provision batch --profile staff --count 4 --transport "$TRANSPORT" --manifest /run/box.json -o json </dev/null >/run/shown 2>/run/said & running=$!
	wait_for 60 lanes 3 touch || { cat /run/shown /run/said; fail "three lanes do not ask for a touch"; }
	for n in 1 2 3; do order touch $n 2; done
	wait_for 60 lanes 3 done || { cat /run/shown /run/said; fail "three lanes are not done"; }
	for n in 1 2 3; do order touch $n 2; done
	if [[ $TRANSPORT == libusb ]] && keyboards 3; then fail "the keyboards are there while libusb holds the keys"; fi
	fido_devices 3 || fail "a FIDO device is gone while the batch holds the keys"
	readers 3 || fail "a reader is gone while the batch holds the keys"
	wait_for 60 usbip attach -r 127.0.0.1 -b 1-4
	wait_for 60 lanes 4 touch || { cat /run/shown /run/said; fail "the fourth lane does not ask for a touch"; }
	order touch 4 2
	wait $running || { cat /run/shown /run/said; fail "the batch"; }
	for n in /run/typed.*; do [[ ! -s $n ]] || fail "a held key typed: $(od -An -tx1 -N48 "$n")"; done
	wait_for 60 keyboards 4
	fido_devices 4 || fail "a FIDO device is gone afterwards"
	readers 3 || fail "a reader is gone afterwards" # the service knows the fourth by udev only, which is not there
	want "in stock" "$(td token list -o csv | grep -c in_stock)" 4
	td provision manifest verify /run/box.json 2>&1 | tee /run/verified
	grep -q 'intact: signed by this key, 4 of 4 keys were written and read back; 4 of them were proven by touch' /run/verified
	stop_pcscd
	stop_vkeyd
done
