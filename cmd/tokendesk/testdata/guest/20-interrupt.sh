# SIGINT in the middle: the keyboard is back when the program has ended, and resume settles what was open.
for pair in tokendesk:libusb tokendesk:hidraw tokendesk-pure:auto; do
	PROGRAM=${pair%:*} TRANSPORT=${pair#*:}
	source "$GUEST_DIR/walk.sh"
	start_vkeyd 5.4.3
	attach_key
	td init
	begin_provision 1
	kill -INT $running
	status=0
	wait $running || status=$?
	want "$pair: exit code" $status 1
	keyboard_back
	grep -q "tokendesk provision resume --serial $SERIAL" /run/said
	begin provision resume
	press 1
	wait $running || { cat /run/said; fail "$pair: resume"; }
	grep -q programmed /run/shown
	keyboard_back
	verified 1
	stop_vkeyd
done
