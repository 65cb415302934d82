# A killed holder leaves no keyboard; the next start over either transport brings it back, and stock clients work again.
start_vkeyd 5.4.3
attach_key
for next in slot:libusb slot:hidraw slot-pure:hidraw; do
	"$GUEST_DIR/slot" libusb hold sleep 900 >/dev/null 2>&1 & holder=$!
	disown
	wait_for 60 eval '! keyboard_ready'
	kill -9 $holder
	wait_for 60 eval '! kill -0 $holder'
	! keyboard_ready || fail "the kernel gave the keyboard back by itself: this scenario proves nothing"
	"$GUEST_DIR/${next%:*}" ${next#*:} info >/dev/null
	keyboard_back
	want "ykinfo after $next" "$(ykinfo -s)" "serial: $SERIAL"
done
