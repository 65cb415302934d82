# Helpers for scripts in the guest. Everything waits by polling with a bound; nothing sleeps for luck.

# fail TEXT: say why and end the script.
fail() { echo "FAIL: $*" >&2; exit 1; }

# want WHAT GOT WANT: end the script where two texts differ.
want() { [[ $2 == "$3" ]] || fail "$1: got \"$2\", want \"$3\""; }

# refused COMMAND…: end the script where the command succeeds; print what it says.
refused() { if "$@"; then fail "succeeded: $*"; fi; }

# wait_for SECONDS COMMAND…: run the command ten times a second until it succeeds.
wait_for() {
	local tries=$(($1 * 10)); shift
	while ! "$@" >/dev/null 2>&1; do
		((tries-- > 0)) || { echo "gave up waiting for: $*"; return 1; }
		sleep 0.1
	done
}

# run_scenario NAME SECONDS: run $GUEST_DIR/scenario/NAME in a shell of its own, between markers that scenario.go reads.
run_scenario() {
	local status=0 start=$EPOCHREALTIME
	echo "@@scenario $1"
	timeout -k 5 "$2" bash -c 'set -Eeuo pipefail; source "$GUEST_DIR/prelude.sh"
		trap '\''echo "FAIL: line $LINENO: $BASH_COMMAND" >&2'\'' ERR; trap "stop_pcscd; stop_vkeyd" EXIT
		source "$GUEST_DIR/scenario/$0"' "$1" || status=$?
	awk "BEGIN { printf \"took %.1f s\", $EPOCHREALTIME - $start }"
	echo; echo "@@status $1 $status"
}

# The virtual key of the scenarios, and what is written into it; made up.
SERIAL=7654321 PUBLIC=ff000074cbb1 PRIVATE=010203040506 KEY=000102030405060708090a0b0c0d0e0f
VKEYD_SOCKET=/run/vkeyd.socket VKEYD_PID=/run/vkeyd.pid

# start_vkeyd FIRMWARE[,OPTION…]: serve an empty virtual key by USB/IP on 127.0.0.1:3240.
start_vkeyd() { start_vkeys "$1,serial=$SERIAL"; }

# start_vkeys FIRMWARE[,OPTION…] …: serve several keys, as bus ids 1-1, 1-2 and so on.
start_vkeys() {
	rm -f $VKEYD_SOCKET
	"$GUEST_DIR/vkeyd" $(printf -- '-key %s ' "$@") -control $VKEYD_SOCKET </dev/null >/run/vkeyd.log 2>&1 &
	echo $! >$VKEYD_PID
	disown
	wait_for 60 grep -q ready /run/vkeyd.log || { cat /run/vkeyd.log; return 1; }
}

# stop_vkeyd: end the virtual key, if there is one, which detaches it.
stop_vkeyd() {
	[[ -e $VKEYD_PID ]] || return 0
	kill -9 "$(<$VKEYD_PID)" 2>/dev/null || true
	rm -f $VKEYD_PID
	wait_for 60 keys_attached 0
}

# vkeyd ORDER WORD…: give the virtual key an order, as hwtest/usbip/vkeyd documents them; KEY is left out here.
vkeyd() { "$GUEST_DIR/vkeyd" -control $VKEYD_SOCKET "$1" 1 "${@:2}"; }

# press SLOT: touch the key as for slot 1 or 2.
press() { vkeyd touch "$1" >/dev/null; }

# typed SLOT: touch the key; print the line the system's keyboard types. The kernel keeps what is typed in a fifth of a second: whoever reads it
# goes before all others.
typed() { chrt --fifo 1 "$GUEST_DIR/slot" typed bash -c "source \"\$GUEST_DIR/prelude.sh\"; press $1"; }

# opened PRIVATE KEY OTP: print public ID, use and session counter of an OTP, or fail.
opened() { "$GUEST_DIR/slot" open "$@"; }

# start_pcscd: run a PC/SC daemon, which sees the card readers that are attached now. It ends with the scenario.
start_pcscd() {
	pcscd --foreground --error >/run/pcscd.log 2>&1 &
	echo $! >/run/pcscd.own
	disown
	wait_for 60 test -S /run/pcscd/pcscd.comm
}

# stop_pcscd: end it, if there is one.
stop_pcscd() {
	[[ -e /run/pcscd.own ]] || return 0
	kill -9 "$(</run/pcscd.own)" 2>/dev/null || true
	rm -rf /run/pcscd.own /run/pcscd
}

# attach_key: plug the served key into this system, and wait for its keyboard.
attach_key() {
	wait_for 60 usbip attach -r 127.0.0.1 -b 1-1
	wait_for 60 keyboard_ready
}

# unplug_key, plug_key: pull the key out, put it back.
unplug_key() { vkeyd unplug >/dev/null && wait_for 60 keys_attached 0; }
plug_key() { vkeyd plug >/dev/null && attach_key; }

# transfers: prints "gets=N sets=N", the feature reports read and written since reset_transfers.
transfers() { vkeyd transfers; }
reset_transfers() { vkeyd reset >/dev/null; }

# keys_attached N: that many devices of Yubico's are attached.
keys_attached() { [[ $(cat /sys/bus/usb/devices/*/idVendor 2>/dev/null | grep -c 1050) == "$1" ]]; }

# keyboard_ready: usbhid has a key's interface 0, and its hidraw node and an input node exist.
keyboard_ready() {
	local hid=/sys/bus/usb/drivers/usbhid/*:1.0/*
	set -- $hid/hidraw/hidraw* $hid/input/input*/event*
	[[ $# == 2 && -c /dev/${1##*/} && -c /dev/input/${2##*/} ]]
}

# keyboard_back: fail unless the keyboard is there now, without waiting.
keyboard_back() { keyboard_ready >/dev/null || fail "the keyboard is not back"; }
