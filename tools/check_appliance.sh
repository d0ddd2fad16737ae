#!/usr/bin/env bash
# Proves what the appliance binary promises: linked to nothing, runs in an empty chroot with an
# empty environment, holds no libtorch, is not too large. Prints its size and the time from start to first finding.
# usage: check_appliance.sh BINARY
set -euo pipefail
binary=$1
fail() { echo "appliance check failed: $1" >&2; exit 1; }

needed=$(readelf -d "$binary" | grep -c NEEDED || true)
[ "$needed" = 0 ] || fail "$needed NEEDED entries in the dynamic section, none is allowed"
interpreter=$(readelf -l "$binary" | grep -c 'interpreter' || true)
[ "$interpreter" = 0 ] || fail "it asks for a dynamic loader"
for mark in libtorch _ZN3c10 _ZN2at; do
    ! grep -qaF "$mark" "$binary" || fail "it holds $mark: libtorch must never be in the appliance"
done

# What a flash image has room for beside its system. Two fifths are the models, deflated; tract's fallback and the tables
# for unwinding grow unseen with every dependency.
bytes_max=32000000
bytes=$(stat -c %s "$binary")
[ "$bytes" -le "$bytes_max" ] || fail "$bytes bytes, allowed are $bytes_max: nm -S --size-sort on an unstripped build says what grew"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cp "$binary" "$root/chexbox"
# Named by path: with an empty environment there is no PATH to find them in.
PATH=$PATH:/usr/sbin:/sbin
chroot=$(command -v chroot)
into=("$chroot")
[ "$(id -u)" = 0 ] || into=("$(command -v unshare)" --map-root-user "$chroot")
empty() { env -i "${into[@]}" "$root" /chexbox "$@"; }
for model in findings25 findings10; do
    record=$(empty read --json --model "$model" 2> /dev/null) || fail "read in an empty chroot ended with $?"
    case $record in
        *'"status":"read"'*"\"name\":\"$model\""*) ;;
        *) fail "read in an empty chroot gave: $record" ;;
    esac
done

best=
for _ in 1 2 3 4 5 6 7; do
    start=${EPOCHREALTIME/[.,]/}
    empty read --json > /dev/null 2>&1
    took=$((${EPOCHREALTIME/[.,]/} - start))
    if [ -z "$best" ] || [ "$took" -lt "$best" ]; then best=$took; fi
done
echo "appliance: $bytes bytes of at most $bytes_max, linked to nothing, reads in an empty chroot"
echo "appliance: start to first finding of the drawn film $((best / 1000)) ms (best of 7, chroot included)"
