#!/usr/bin/env bash
# emulate-avx512.sh BINARY [ARGS...]
#
# Runs a Linux x86-64 executable on an emulated CPU that has AVX-512 (F, BW, DQ,
# VL, VNNI, VBMI, VBMI2, BITALG, VPOPCNTDQ), streams its output and exits with
# its exit status. It proves that kernels are correct; it says nothing of speed.
#
# Why a whole PC: qemu's TCG and valgrind stop at AVX2; Debian's bochs has AVX-512,
# but emulates a machine, not a process. So: Debian's kernel, an initramfs of busybox,
# the binary and its shared libraries, and a serial port as stdout.
#
# Debian only (its bochs 2.7); needs root only to install packages.
#   EMULATE_TIMEOUT=1800   give up after so many seconds (exit status 124)
#   EMULATE_CPU=tigerlake  any model of `bochs --help cpu`; corei7_skylake_x has
#                          AVX-512 without VNNI/VBMI, corei7_haswell_4770 only AVX2
#   EMULATE_MEM=1024       guest memory in MiB, at most 2048
#   EMULATE_FILES="a b"    data files or folders the binary reads, put into the
#                          guest under the same absolute paths
#   EMULATE_ENV="A=1 B=2"  environment of the binary (no blanks in the values)
#   EMULATE_VERBOSE=1      show the guest's boot messages too
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,21p' "$0"; exit 2; }
bin=$(realpath -e "$1"); shift
cpu=${EMULATE_CPU:-tigerlake} mem=${EMULATE_MEM:-1024}
limit=${EMULATE_TIMEOUT:-1800}
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${CARGO_TARGET_DIR:-$root/target}/emulate
say() { echo "emulate: $*" >&2; }
trap 'say "line $LINENO failed"' ERR

# --- 1. packages -------------------------------------------------------------
need=()
for f in bochs:/usr/bin/bochs bochsbios:/usr/share/bochs/BIOS-bochs-latest \
    vgabios:/usr/share/vgabios/vgabios.bin isolinux:/usr/lib/ISOLINUX/isolinux.bin \
    syslinux-common:/usr/lib/syslinux/modules/bios/ldlinux.c32 \
    bochs-term:/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so \
    xorriso:/usr/bin/xorriso cpio:/usr/bin/cpio busybox-static:/bin/busybox \
    bsdutils:/usr/bin/script; do
    [ -e "${f#*:}" ] || need+=("${f%%:*}")
done
if [ ${#need[@]} -gt 0 ]; then
    say "missing: apt-get install ${need[*]}"; [ "$(id -u)" = 0 ] || exit 2
    apt-get update >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${need[@]}" >/dev/null
fi
if [ ! -s "$cache/vmlinuz" ]; then
    mkdir -p "$cache/deb"
    pkg=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
    say "fetching $pkg (unpacked, not installed)"
    (cd "$cache/deb" && apt-get download -q "$pkg" &>/dev/null && dpkg -x "$pkg"_*.deb .)
    mv "$cache"/deb/boot/vmlinuz-* "$cache/vmlinuz"
    rm -rf "$cache/deb"
fi

# --- 2. initramfs ------------------------------------------------------------
work=$(mktemp -d "$cache/run.XXXXXX")
bochs_pid='' serial_pid=''
finish() {
    for pid in $bochs_pid $serial_pid; do kill -- "-$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT; trap "exit 130" INT TERM
fs=$work/fs
mkdir -p "$fs"/{bin,proc,sys,dev,tmp,etc} "$work/iso/isolinux"
put() { mkdir -p "$fs$(dirname "$1")" && cp -rL "$1" "$fs$1"; }
cp "$bin" "$fs/bin/guest"; cp /bin/busybox "$fs/bin/busybox"
# The dynamic loader and the libraries; for a static binary ldd has none to name.
libs=$(ldd "$bin" 2>/dev/null | grep -o '/[^ ]*' || true)
for f in $libs ${EMULATE_FILES:-}; do put "$(realpath -es "$f")"; done
# One thread, as the guest has one CPU: the last line then names a test that hung.
printf '%q ' env RUST_TEST_THREADS=1 RUST_BACKTRACE=1 ${EMULATE_ENV:-} /bin/guest "$@" >"$fs/etc/command"
cat >"$fs/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir /dev/shm; mount -t tmpfs shm /dev/shm
stty -F /dev/ttyS0 raw -echo; cd /tmp # raw: no CR before LF
echo @@BEGIN@@ >/dev/ttyS0
sh /etc/command </dev/null >/dev/ttyS0 2>&1
status=$?
printf '\n@@EXIT@@ %s %s\n' $status "$(cut -d' ' -f1 /proc/uptime)" >/dev/ttyS0
stty -F /dev/ttyS0 raw # setting a mode waits for the last byte to leave
poweroff -f
INIT
(cd "$fs" && chmod +x init && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/iso/initrd"

# --- 3. bootable CD ----------------------------------------------------------
ln "$cache/vmlinuz" "$work/iso/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/isolinux/"
# Debian 12's bochs 2.7 describes these CPUs with mistakes that Linux 6.1 trips over,
# hence clearcpuid: no size for PKRU's state and no compacted XSAVE sizes make the
# kernel give up XSAVE, and with it AVX (XSAVEC 321, XSAVES 323, PKU 515, OSPKE 516);
# FSRM (580) without ERMS sends memmove() over all memory. None of these is of any
# concern to user code. The other options only save emulated instructions.
loglevel=${EMULATE_VERBOSE:+7}
cat >"$work/iso/isolinux/isolinux.cfg" <<CFG
default l
label l
  kernel /vmlinuz
  append initrd=/initrd console=ttyS0,115200 loglevel=${loglevel:-3} panic=-1 nokaslr mitigations=off clearcpuid=321,323,515,516,580 init_on_alloc=0 audit=0 cryptomgr.notests apparmor=0 ipv6.disable=1 no_timer_check tsc=reliable random.trust_cpu=on
CFG
xorriso -as mkisofs -quiet -o "$work/cd.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso" 2>/dev/null

# --- 4. emulate --------------------------------------------------------------
# The serial port is a terminal lent by script(1), as bochs buffers one that is a
# file: this way the output streams.
setsid script -qfc "tty >'$work/tty'; exec sleep infinity" "$work/serial" </dev/null &>/dev/null &
serial_pid=$!
until [ -s "$work/tty" ]; do sleep 0.1; done
# ips only paces the guest's devices (timer, serial port); its clocks count the TSC,
# one tick an instruction, so guest seconds are long: timings mean nothing here.
cat >"$work/bochsrc" <<RC
config_interface: textconfig
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model=$cpu, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=$mem, host=$mem
ata0-master: type=cdrom, path="$work/cd.iso", status=inserted
boot: cdrom
clock: sync=none
com1: enabled=1, mode=term, dev=$(cat "$work/tty")
log: $work/bochs.log
panic: action=fatal
error: action=ignore
RC
# Debian builds no "nogui" display, and the "term" one wants a terminal: again script(1).
# setsid makes a process group of its own, for the kill at the end.
SECONDS=0
TERM=vt100 setsid timeout "$limit" script -qefc "bochs -q -f '$work/bochsrc'" /dev/null \
    <<<c >"$work/screen" 2>&1 &
bochs_pid=$!
on=${EMULATE_VERBOSE:-} status=
while IFS= read -r line; do # awk would buffer
    case $line in
    @@BEGIN@@*) on=1 ;;
    @@EXIT@@*) read -r _ status _ <<<"$line"; break ;;
    *) [ -z "$on" ] || printf '%s\n' "$line" ;;
    esac
done < <(exec tail -f -s 0.2 -n +2 --pid="$bochs_pid" "$work/serial")
if [ -z "$status" ]; then
    status=125; wait "$bochs_pid" || { [ $? != 124 ] || { status=124; say "timeout of $limit s"; }; }
    say "no exit status; last of the serial port and of bochs' log:"
    tail -qn 5 "$work/serial" "$work/bochs.log" >&2
fi
say "$SECONDS s on $cpu, exit status $status"
exit "$status"
