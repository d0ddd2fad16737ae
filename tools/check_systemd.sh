#!/usr/bin/env bash
# The units of systemd/: `systemd-analyze verify` has nothing to say about them, and `systemd-analyze security` finds an
# exposure of at most 0.5 in the service, and of at most 1.0 in the one that must have the network. Both work on the files
# alone; no systemd needs to run.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v systemd-analyze > /dev/null; then
    echo "systemd-analyze is missing: install the package systemd" >&2
    exit 1
fi
# verify wants the program that a unit starts to be there; a copy of the units names one that is everywhere.
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
cp systemd/*.service systemd/*.socket "$units/"
sed -i 's|^ExecStart=/usr/bin/chexbox|ExecStart=/bin/true|' "$units"/*.service

said=$(systemd-analyze verify --man=no "$units"/*.service "$units"/*.socket 2>&1 || echo "verify failed")
# What verify says about other units of the machine is none of ours; grep that finds nothing is the good case.
ours=$(grep -E 'chexbox|verify failed' <<< "$said" || true)
if [ -n "$ours" ]; then
    printf 'systemd-analyze verify:\n%s\n' "$ours" >&2
    exit 1
fi

# At most so many tenths.
for bar in chexbox.service:5 chexbox-forward.service:10; do
    unit=${bar%%:*} tenths=${bar##*:}
    table=$(systemd-analyze security --offline=true --threshold="$tenths" --no-pager "$units/$unit") || {
        printf '%s\nsystemd-analyze security: the exposure of %s is more than %s tenths\n' "$table" "$unit" "$tenths" >&2
        exit 1
    }
    tail -1 <<< "$table"
done
