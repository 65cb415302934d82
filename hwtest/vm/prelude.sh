# Helpers for scripts in the guest. Everything waits by polling with a bound; nothing sleeps for luck.

# fail TEXT: say why and end the script.
fail() { echo "FAIL: $*"; exit 1; }

# wait_for SECONDS COMMAND…: run the command ten times a second until it succeeds.
wait_for() {
	local tries=$(($1 * 10)); shift
	while ! "$@" >/dev/null 2>&1; do
		((tries-- > 0)) || { echo "gave up waiting for: $*"; return 1; }
		sleep 0.1
	done
}
