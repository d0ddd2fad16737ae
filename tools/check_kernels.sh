#!/usr/bin/env bash
# Runs the kernels' tests under AddressSanitizer, alone in a package of their own: they depend on std and thiserror only,
# so this takes a minute where the whole program would take ten. The sanitizer needs -Z, hence RUSTC_BOOTSTRAP.
# usage: check_kernels.sh   (in the repository; CARGO_TARGET_DIR is used if set)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
package=${CARGO_TARGET_DIR:-$root/target}/kernels-asan
mkdir -p "$package/src"
sed -n '/^name = "thiserror"$/{n;s/version = "\(.*\)"/\1/p}' "$root/Cargo.lock" | grep '^2' > "$package/thiserror"
cat > "$package/Cargo.toml" <<TOML
[package]
name = "kernels"
version = "0.0.0"
edition = "2024"
[lib]
path = "src/lib.rs"
[dependencies]
thiserror = "=$(cat "$package/thiserror")"
[profile.dev]
opt-level = 2
[workspace]
TOML
printf '#[path = "%s/src/model/kernels/mod.rs"]\npub mod kernels;\n' "$root" > "$package/src/lib.rs"
cd "$package"
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR="$package/target" \
    cargo test --quiet --lib --target x86_64-unknown-linux-gnu
echo "kernels: clean under AddressSanitizer, on every instruction set of this machine"
