#!/usr/bin/env bash
# miri.sh [TEST FILTERS...]
#
# Runs unit tests under Miri, which finds undefined behaviour that a run on a real
# processor hides: reads out of bounds, wrong alignment, broken aliasing. Miri is a
# thousand times slower and knows neither mapped files nor most AVX instructions, so:
# the portable kernels, the tests named below, few cases of each property.
# Without Miri it prints SKIPPED and succeeds, so that it may stand in any list of
# checks.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "SKIPPED: Miri not installed: rustup +nightly component add miri rust-src"
    exit 0
fi
[ $# -gt 0 ] || set -- index::spec search::topk \
    pieces_of_every_length bytes_after_truncation memory_that_cannot_be_had \
    search::walks::tests::a_small_graph
# Isolation would hide STEEP_ISA and forbid temporary files. The epochs that the thread pool is built on break the
# rules of stacked borrows, not those of tree borrows.
export STEEP_ISA=scalar PROPTEST_CASES=4
export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows ${MIRIFLAGS:-}"
exec cargo +nightly miri test --package steep --lib -- "$@"
