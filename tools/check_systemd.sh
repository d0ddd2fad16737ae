#!/usr/bin/env bash
# The units of systemd/: `systemd-analyze verify` has nothing to say about them, and `systemd-analyze security` finds an
# exposure of at most 0.5. Both work on the files alone; no systemd needs to run.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v systemd-analyze > /dev/null; then
    echo "systemd-analyze is missing: install the package systemd" >&2
    exit 1
fi
# verify wants the program that a unit starts to be there; a copy of the units names one that is everywhere.
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
sed 's|^ExecStart=/usr/bin/chexbox|ExecStart=/bin/true|' systemd/chexbox.service > "$units/chexbox.service"
cp systemd/*.socket "$units/"

said=$(systemd-analyze verify --man=no "$units/chexbox.service" "$units"/*.socket 2>&1 || echo "verify failed")
# What verify says about other units of the machine is none of ours; grep that finds nothing is the good case.
ours=$(grep -E 'chexbox|verify failed' <<< "$said" || true)
if [ -n "$ours" ]; then
    printf 'systemd-analyze verify:\n%s\n' "$ours" >&2
    exit 1
fi

table=$(systemd-analyze security --offline=true --threshold=5 --no-pager "$units/chexbox.service") || {
    printf '%s\nsystemd-analyze security: the exposure is more than 0.5\n' "$table" >&2
    exit 1
}
tail -1 <<< "$table"
