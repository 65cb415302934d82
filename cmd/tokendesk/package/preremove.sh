#!/bin/sh
# Before the files go. deb calls it with "remove" or "upgrade", rpm with the number of versions that stay.
set -e

case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl --no-reload disable --now tokendesk.service tokendesk.socket tokendesk-radius.socket || true
fi
