#!/bin/sh
# deb.sh - make the Debian packages of this tree in build/deb. Run from the root, by ./dev deb. Needs no network.
set -eu

FOLDER=build/deb
PLOTLY=web/node_modules/plotly.js-cartesian-dist-min

version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build | head -n 1)
[ -n "$version" ] || { echo "deb.sh: meson.build names no version" >&2; exit 1; }
# the date of the latest commit, so that the same tree makes the same packages
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
fi
export SOURCE_DATE_EPOCH

rm -rf "$FOLDER"
source=$FOLDER/filtags-$version
mkdir -p "$source/$PLOTLY"
# a copy, because packaging leaves files in the tree that it works in
tar -cf - --exclude=./build --exclude='./build-*' --exclude=./.git --exclude=./tests --exclude=./bench \
    --exclude=./web/node_modules . | tar -xf - -C "$source"
cp "$PLOTLY"/* "$source/$PLOTLY"
mv "$source/packaging/debian" "$source/debian"
sed "s/@VERSION@/$version-1/; s/@DATE@/$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")/" \
    "$source/debian/changelog.in" >"$source/debian/changelog"
rm "$source/debian/changelog.in"

log=$PWD/$FOLDER/build.log
if ! (cd "$source" && DEB_BUILD_OPTIONS="noautodbgsym ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -us -uc -b) \
    >"$log" 2>&1; then
    tail -n 40 "$log"
    echo "deb.sh: no package could be made; all of the output is in $FOLDER/build.log" >&2
    exit 1
fi
rm -r "$source" # the packages are what is wanted
ls "$FOLDER"/*.deb
