#!/usr/bin/env bash
# test-aarch64.sh [CARGO TEST OPTIONS...]   default: --package steep --lib --tests
#
# Builds steep's tests for 64-bit ARM and runs them under qemu's user-mode
# emulation, which has NEON and the dot-product extension: it proves that the NEON
# kernels are correct, not that they are fast. As root, installs the cross linker
# and qemu where missing (Debian/Ubuntu). Without Rust's aarch64 standard library
# it prints SKIPPED and succeeds, so that it may stand in any list of checks.
#
#   AARCH64_CPU=max         any model of `qemu-aarch64-static -cpu help`:
#                           cortex-a53 has no dot product, neoverse-n1 has it
#   AARCH64_TIMEOUT=1800    seconds for each test binary
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu

# rustup's word first; where Rust comes without rustup, the library's folder is it.
if ! { rustup target list --installed 2>/dev/null | grep -qx "$target" ||
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; }; then
    echo "SKIPPED: aarch64 standard library not installed: rustup target add $target"
    exit 0
fi
need=()
command -v aarch64-linux-gnu-gcc >/dev/null || need+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
command -v qemu-aarch64-static >/dev/null || need+=(qemu-user-static)
if [ ${#need[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "SKIPPED: missing packages: apt-get install ${need[*]}"
        exit 0
    fi
    { apt-get update && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${need[@]}"; } >/dev/null
fi

# cargo hands each test binary to the runner. -L: where the cross C library lives.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="timeout ${AARCH64_TIMEOUT:-1800} \
qemu-aarch64-static -cpu ${AARCH64_CPU:-max} -L /usr/aarch64-linux-gnu"
[ $# -gt 0 ] || set -- --package steep --lib --tests
exec cargo test --target "$target" "$@"
