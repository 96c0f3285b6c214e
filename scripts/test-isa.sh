#!/usr/bin/env bash
# test-isa.sh [FILTER]   default filter: kernels
#
# Runs the tests whose names hold FILTER on every instruction set that Steep has kernels for: natively
# where this processor has it, else emulated, and prints a line for each. A set that cannot be tested
# here (no emulator, no cross compiler, another architecture) is SKIPPED with the reason; only a test that fails
# makes the exit status other than 0.
#
#   EMULATED_CASES=32  cases of each random test where the processor is emulated
#   ISA_LOGS=DIR       keep the whole outputs there
set -uo pipefail
cd "$(dirname "$0")/.."
filter=${1:-kernels}
cases=${EMULATED_CASES:-32}
logs=${ISA_LOGS:-$(mktemp -d)}
mkdir -p "$logs"
status=0
summary=()

# report NAME WHERE STATUS LOG: a line of the summary; the end of the log where a test failed. Success needs
# tests that ran: a filter that matches none, or an emulator that never started, proves nothing.
report() {
    local ran
    ran=$(grep -o '^test result: ok\. [0-9]* passed' "$4" | tail -n 1 | grep -o '[0-9]*' || true)
    if grep -q '^SKIPPED' "$4" && [ "$3" = 0 ]; then
        summary+=("$(printf '%-8s %s' "$1" "$(grep -m 1 '^SKIPPED' "$4")")")
    elif [ "$3" = 0 ] && [ "${ran:-0}" -gt 0 ]; then
        summary+=("$(printf '%-8s passed: %s tests, %s' "$1" "$ran" "$2")")
    else
        tail -n 40 "$4"
        summary+=("$(printf '%-8s FAILED (exit status %s, %s): %s' "$1" "$3" "$2" "$4")")
        status=1
    fi
}
skip() { summary+=("$(printf '%-8s SKIPPED: %s' "$1" "$2")"); }

# True where the log of a run that included `the_active_set_is_an_available_one` says that the set was in use: the
# processor has it, or the emulator really gave it.
in_use() { grep -q "^active=$1\$" "$2"; }

machine=$(uname -m)
echo "building the tests" >&2
binary=$(cargo test --quiet --lib --no-run --message-format=json | grep -o '"executable":"[^"]*"' |
    tail -n 1 | cut -d'"' -f4)
[ -x "$binary" ] || { echo "the tests did not build" >&2; exit 1; }

# --- natively: each set that the processor has -------------------------------
for isa in scalar avx2 avx512 neon; do
    log=$logs/$isa.log
    STEEP_ISA=$isa "$binary" --nocapture "$filter" the_active_set >"$log" 2>&1
    code=$?
    if in_use "$isa" "$log"; then
        report "$isa" "this processor" "$code" "$log"
        continue
    fi
    # --- emulated ------------------------------------------------------------
    case $isa:$machine in
    avx512:x86_64)
        if ! command -v apt-get >/dev/null; then
            skip avx512 "not on this processor; the emulator comes from Debian's packages"
            continue
        fi
        # Bochs 2.7 takes the one-byte displacement of VPINSRB xmm16-31 for words: five instructions show it. Compilers
        # use that for codes that lie apart, so that test fails there by the emulator, in some builds.
        EMULATE_ENV="PROPTEST_CASES=$cases STEEP_ISA=avx512" \
            scripts/emulate-avx512.sh "$binary" --nocapture "$filter" the_active_set \
            --skip codes_of_every_width_and_depth_give_the_products_of_their_values >"$log" 2>&1
        code=$?
        if [ "$code" = 2 ] && ! grep -q '^test ' "$log"; then
            skip avx512 "not on this processor; $(grep -m 1 'missing' "$log" || echo "no emulator")"
        elif [ "$code" = 0 ] && ! in_use avx512 "$log"; then
            skip avx512 "the emulated processor has no AVX-512"
        else
            report avx512 "emulated by Bochs" "$code" "$log"
        fi
        ;;
    neon:x86_64)
        # -cpu cortex-a53: the baseline, so that nothing beyond it slips in.
        PROPTEST_CASES=$cases AARCH64_CPU=${AARCH64_CPU:-cortex-a53} scripts/test-aarch64.sh --package steep --lib -- \
            "$filter" >"$log" 2>&1
        report neon "emulated by QEMU" $? "$log"
        ;;
    *) skip "$isa" "this processor ($machine) has no such instructions" ;;
    esac
done

echo
printf '%s\n' "${summary[@]}"
exit $status
