# While libusb holds the key the keyboard and its nodes are gone; while either transport holds it, every other start of ours
# finds it busy; afterwards the keyboard is back.
start_vkeyd 5.4.3
attach_key
for transport in libusb hidraw; do
	for second in slot:libusb slot:hidraw slot-pure:hidraw; do
		said=$(refused "$GUEST_DIR/slot" $transport hold "$GUEST_DIR/${second%:*}" ${second#*:} info 2>&1)
		[[ $said == *"in use by another program"* ]] || fail "$second while $transport holds the key: $said"
		keyboard_back
	done
done
"$GUEST_DIR/slot" libusb hold bash -c 'source "$GUEST_DIR/prelude.sh"; ! keyboard_ready' || fail "the keyboard is there while libusb holds it"
keyboard_back
said=$(refused "$GUEST_DIR/slot-pure" libusb info 2>&1)
[[ $said == *"not part of this build"* ]] || fail "libusb in the build without C: $said"
