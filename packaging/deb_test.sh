#!/bin/sh
# deb_test.sh - install the packages of build/deb in a clean system, use them there, and remove them again. Run from
# the root, by ./dev deb test, as root. The system is made by debootstrap, of the release and from the mirror that
# this machine's own packages are from: it needs the network.
set -eu

[ "$(id -u)" = 0 ] || { echo "./dev deb test: a clean system can be made by root alone" >&2; exit 1; }
root=$(mktemp -d)
log=$root.log
chmod 755 "$root" # apt's downloads and man's index run as users of their own
finish() {
    status=$?
    [ $status = 0 ] || tail -n 30 "$log"
    umount "$root/proc" 2>/dev/null || :
    rm -rf --one-file-system "$root" "$log"
    exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM

# shellcheck source=/dev/null
. /etc/os-release
origin=Debian
[ "$ID" != ubuntu ] || origin=Ubuntu
# shellcheck disable=SC2016 # apt's variables
sources=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' \
    "Origin: $origin" | sort -u)
mirror=$(printf '%s\n' "$sources" | awk -v suite="$VERSION_CODENAME" '$2 == suite { print $1; exit }')
[ -n "$mirror" ] || { echo "./dev deb test: apt knows no mirror of $VERSION_CODENAME" >&2; exit 1; }

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root \
    DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} "$@"; }
# what there is, but for the package manager's and other programs' records, and what is made anew at any time
list() { (cd "$root" && find . -xdev \( -path ./proc -o -path ./tmp -o -path ./var \) -prune -o -print | sort); }
step() { printf '%s\n' "-- $*"; }

step "a clean $VERSION_CODENAME"
debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$mirror" >"$log" 2>&1
printf '%s\n' "$sources" | sed 's/^/deb /' >"$root/etc/apt/sources.list"
mount -t proc proc "$root/proc" 2>/dev/null || : # a container may forbid it
inside apt-get update -q >>"$log" 2>&1
inside apt-get install -q -y --no-install-recommends man-db gcc libc6-dev pkg-config >>"$log" 2>&1
# what the packages depend on comes first, so that the difference is theirs alone
cp build/deb/*.deb "$root/tmp"
depends=$(inside sh -c 'for package in libfiltags0 filtags-mpi; do dpkg-deb -f /tmp/${package}_*.deb Depends; done' |
    sed 's/([^)]*)//g; s/|[^,]*//g; s/,/ /g; s/\(lib\)\?filtags0\?\>//g')
# shellcheck disable=SC2086 # words
inside apt-get install -q -y --no-install-recommends $depends >>"$log" 2>&1
list >"$root/tmp/before"

step "apt install ./*.deb"
inside sh -c 'cd /tmp && apt-get install -q -y --no-install-recommends ./*.deb' >>"$log" 2>&1
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build | head -n 1)
[ "$(inside filtags --version)" = "filtags $version" ]
step "filtags demo"
inside sh -c 'mkdir /tmp/demo && filtags demo --save-dir /tmp/demo && ls /tmp/demo/*-VIS-fashion.html' >>"$log" 2>&1
step "man"
inside man filtags-pipeline | grep -q 'EXIT STATUS'
step "an example of the -dev package"
inside sh -c 'cd /tmp && cp /usr/share/doc/libfiltags-dev/examples/minimal.c . &&
    cc -o minimal minimal.c $(pkg-config --cflags --libs filtags) &&
    ./minimal demo/fashion.keras demo/images/Sandal/Sandal_0003.png' | grep -q '^top_conv  *filter   74 of   96'

step "removed again"
inside apt-get purge -q -y filtags filtags-mpi libfiltags0 libfiltags-dev >>"$log" 2>&1
list >"$root/tmp/after"
diff "$root/tmp/before" "$root/tmp/after"
echo "the packages install, work and leave nothing behind"
