#!/bin/sh
# Installs the Debian packages that the named groups of tests/packages list and that are missing.
# With -n it only says which, and how to get them.
# usage: tests/deps.sh [-n] GROUP...
set -eu

dry=
if [ "${1-}" = -n ]; then
	dry=yes
	shift
fi
wanted=
for group in "$@"; do
	wanted="$wanted $(sed -n "s/^${group}[[:space:]]\{1,\}//p" "$(dirname "$0")/packages")"
done
missing=
for package in $wanted; do
	dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ -n "$dry" ]; then
	echo "Debian packages that are missing:$missing; to install them: make deps-$group" >&2
	exit 0
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || {
		echo "these packages are missing; as root: apt-get install$missing" >&2
		exit 1
	}
	as_root=sudo
fi
echo "installing Debian packages:$missing" >&2
# The lists of a fresh image are empty or old; so they are fetched before the first install only.
$as_root apt-get update -qq
# shellcheck disable=SC2086  # words, on purpose
$as_root env DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
