#!/bin/sh
# After the files are there. deb calls it with "configure", rpm with the number of versions that are installed now.
set -e
root="${DPKG_ROOT:-}"

case "$1" in
configure | [0-9]*) ;;
*) exit 0 ;;
esac

systemd-sysusers --root="$root/" tokendesk.conf
systemd-tmpfiles --root="$root/" --create tokendesk.conf

# Nothing is started by itself: there is no store yet, or a server that staff restart when they want.
if [ -z "$root" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
if [ ! -e "$root/var/lib/tokendesk/tokendesk.db" ] && [ "${2:-}" = "" ]; then
	echo "tokendesk: make the store by: runuser -u tokendesk -- tokendesk init --store /var/lib/tokendesk"
	echo "tokendesk: then: systemctl enable --now tokendesk"
fi
