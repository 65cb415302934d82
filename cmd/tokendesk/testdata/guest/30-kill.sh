# kill -9 while libusb holds the key: the keyboard stays away; the next start gives it back; resume settles the write.
PROGRAM=tokendesk TRANSPORT=libusb
source "$GUEST_DIR/walk.sh"
start_vkeyd 5.4.3
attach_key
td init
begin_provision 1
kill -9 $running
wait $running || true
if keyboard_ready; then fail "the keyboard came back by itself: this scenario proves nothing"; fi
td doctor >/run/shown 2>&1 || { cat /run/shown; fail doctor; }
grep -q 'the keyboard had lost its driver and has it back' /run/shown
wait_for 60 keyboard_ready
begin provision resume
press 1
wait $running || { cat /run/said; fail resume; }
keyboard_back
verified 1
