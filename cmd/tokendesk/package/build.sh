#!/usr/bin/env bash
# Makes the man pages, and with "package" the deb and the rpm, in a directory: build.sh man|package DIR VERSION
# Two builds of one version give the same bytes: SOURCE_DATE_EPOCH is the time of every file.
set -euo pipefail

what="$1" out="$(mkdir -p "$2" && cd "$2" && pwd)" version="$3"
files="$(cd "$(dirname "$0")" && pwd)"
go="${GO:-go}"
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4 # later ones need modules that the proxy does not have
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:?}" CGO_ENABLED=0 LC_ALL=C TZ=UTC

cd "$files/../../.."
stage="$out/stage"
rm -rf "$stage"
mkdir -p "$stage/man"
stamp="-X main.stamped=$version"
"$go" run -trimpath -buildvcs=false -tags gendocs -ldflags "-s -w $stamp" ./cmd/tokendesk gendocs "$stage"
[ "$what" = package ] || exit 0

"$go" build -trimpath -buildvcs=false -ldflags "-s -w $stamp" -o "$stage/tokendesk" ./cmd/tokendesk
for shell in bash zsh fish; do
	"$stage/tokendesk" completion "$shell" >"$stage/completion.$shell"
done
{
	printf 'tokendesk (%s-1) unstable; urgency=medium\n\n  * See the history of the sources.\n\n' "$version"
	printf ' -- The authors of tokendesk <tokendesk@users.noreply.github.com>  %s\n' "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} >"$stage/changelog"
"$go" version -m "$stage/tokendesk" | awk '$1 == "dep" {print $2 "@" $3}' | while read -r module; do
	dir="$("$go" list -m -f '{{.Dir}}' "${module%@*}")"
	printf '\n==== %s\n' "$module"
	for text in "$dir"/LICENSE* "$dir"/COPYING* "$dir"/NOTICE* "$dir"/License*; do
		[ ! -f "$text" ] || { printf '\n-- %s\n\n' "$(basename "$text")" && cat "$text"; }
	done
done >"$stage/libraries"
printf '\n==== Go (https://go.dev)\n\n' >>"$stage/libraries"
cat "$("$go" env GOROOT)/LICENSE" >>"$stage/libraries"
gzip -9 -n "$stage"/man/*.1 "$stage/changelog" "$stage/libraries"

arch="$("$go" env GOARCH)"
sed -e "s|@VERSION@|$version|; s|@ARCH@|$arch|; s|@STAGE@|$stage|; s|@FILES@|$files|" "$files/nfpm.yaml" >"$stage/nfpm.yaml"
for packager in deb rpm; do
	"$go" run "$nfpm" package --config "$stage/nfpm.yaml" --packager "$packager" --target "$out/"
done
