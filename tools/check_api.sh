#!/usr/bin/env bash
# bash tools/check_api.sh BINARY: starts the service and lets schemathesis, which knows nothing of the code, hold every address
# against /openapi.json: thousands of requests made from the document, allowed and not allowed.
set -euo pipefail
binary=$(realpath "${1:?the chexbox binary}")
version=4.32.5
venv=$HOME/.cache/chexbox/schemathesis-$version
if ! "$venv/bin/schemathesis" --version > /dev/null 2>&1; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python3" -m pip install --quiet "schemathesis==$version"
fi

work=$(mktemp -d)
"$binary" test-film --out "$work/film.png"
: > "$work/chexbox.toml"
"$binary" serve --config "$work/chexbox.toml" --state "$work/state" --listen 127.0.0.1:0 2> "$work/log" &
service=$!
# Wherever this breaks off, the service is taken along; it may have ended already.
trap 'kill "$service" 2> /dev/null || true; rm -rf "$work"' EXIT
url=
for _ in $(seq 600); do
    if url=$(grep -om1 'http://127.0.0.1:[0-9]*' "$work/log") || ! kill -0 "$service" 2> /dev/null; then break; fi
    sleep 0.1
done
if [ -z "$url" ]; then cat "$work/log" >&2; exit 1; fi
curl -sf --data-binary "@$work/film.png" "$url/v1/readings" > /dev/null

# No document can say which bytes are a chest film: that a film is refused is no fault of this one address.
cat > "$work/schemathesis.toml" <<'TOML'
[[operations]]
include-operation-id = "createReading"
checks.positive_data_acceptance.enabled = false
TOML
cd "$work"
"$venv/bin/schemathesis" --config-file "$work/schemathesis.toml" run "$url/openapi.json" --no-color --request-timeout 30 \
    --max-examples "${CHEXBOX_API_EXAMPLES:-50}" --seed 1

# After all of that it must still be there to end in order.
kill "$service"
if ! wait "$service"; then
    tail -20 "$work/log" >&2
    echo "the service did not end in order after the requests" >&2
    exit 1
fi
