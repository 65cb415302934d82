#!/bin/sh
# After the files went. Keys and store are never deleted here, not by a purge either: without them no token works any more. The user
# stays, because the files are his.
set -e

if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
case "$1" in
purge | 0)
	if [ -e "${DPKG_ROOT:-}/var/lib/tokendesk" ]; then
		echo "tokendesk: the store and its keys stay in /var/lib/tokendesk; delete that directory yourself if nobody needs the tokens"
	fi
	;;
esac
