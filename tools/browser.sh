#!/usr/bin/env bash
# What the tests of the page need: Chromium with its driver (Debian's packages) and axe-core (npm, one file, kept in the
# cache and not in the repository). Says what is missing where it may not install.
set -euo pipefail
axe_version=4.14.1
axe_sha256=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c

if ! command -v chromium > /dev/null || ! command -v chromedriver > /dev/null; then
    if [ "$(id -u)" != 0 ]; then
        echo "the tests of the page will be skipped: install them with  sudo apt-get install chromium chromium-driver" >&2
        exit 0
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium chromium-driver fonts-noto-cjk
fi

folder=$HOME/.cache/chexbox/axe
file=$folder/axe.min.js
fits() { [ -f "$file" ] && echo "$axe_sha256  $file" | sha256sum --check --status; }
if ! fits; then
    if ! command -v npm > /dev/null; then
        echo "axe will not look at the page: install npm, or put axe-core $axe_version's axe.min.js at $file" >&2
        exit 0
    fi
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    (cd "$scratch" && npm pack --silent "axe-core@$axe_version" > /dev/null && tar xzf axe-core-*.tgz package/axe.min.js)
    mkdir -p "$folder"
    mv "$scratch/package/axe.min.js" "$file"
    fits || { rm -f "$file"; echo "axe-core $axe_version is not the file that was expected" >&2; exit 1; }
fi
echo "chromium, chromedriver and axe-core $axe_version are there"
