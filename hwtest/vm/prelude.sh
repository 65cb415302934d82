# Helpers for scripts in the guest. Everything waits by polling with a bound; nothing sleeps for luck.

# fail TEXT: say why and end the script.
fail() { echo "FAIL: $*"; exit 1; }

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
		trap '\''echo "FAIL: line $LINENO: $BASH_COMMAND"'\'' ERR; trap stop_vkeyd EXIT
		source "$GUEST_DIR/scenario/$0"' "$1" || status=$?
	awk "BEGIN { printf \"took %.1f s\", $EPOCHREALTIME - $start }"
	echo; echo "@@status $1 $status"
}

stop_vkeyd() { :; }
