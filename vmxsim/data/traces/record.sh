#!/bin/bash
# Record what KVM on this Intel host does to MSR_KERNEL_GS_BASE (c0000102), for
#
#     vmxsim replay FILE
#
# Run as root:  bash record.sh FILE [SECONDS]
#
# Needs: tracefs, kvm_intel loaded, python3, and for the kprobes' fields the kernel's BTF
# (CONFIG_DEBUG_INFO_BTF and, where KVM is a module, CONFIG_DEBUG_INFO_BTF_MODULES: Linux 5.11 on).
# Without BTF or without kprobes less can be concluded, and the replay says what.
#
# A trace that you have already may do as well: replay also reads what 'trace-cmd report' and 'perf script'
# print, compressed or not.
#
# Mind:
# - A trace holds kernel and user addresses of this host and its guests. Read it before you pass it on.
# - Every VM exit costs a few microseconds more while this runs. Use a host that may be slow.
# - It uses a trace instance of its own, so a trace that is running already is left alone. The
#   kprobes' group is named vmxsim; all of it is removed at the end, also after Ctrl-C.
# - Start it before the guest: what a vCPU's register held at first is known only then.
set -euo pipefail

out=${1:?usage: bash record.sh FILE [SECONDS]}
seconds=${2:-10}

[ "$(id -u)" = 0 ] || { echo "run this as root" >&2; exit 1; }
tracefs=/sys/kernel/tracing
[ -e "$tracefs/trace" ] || mount -t tracefs nodev "$tracefs"
[ -d /sys/module/kvm_intel ] || { echo "kvm_intel is not loaded (modprobe kvm_intel)" >&2; exit 1; }

instance=$tracefs/instances/vmxsim
cleanup() {
    [ -d "$instance" ] || return 0
    echo 0 > "$instance/tracing_on" || true
    [ -d "$instance/events/vmxsim" ] && echo 0 > "$instance/events/vmxsim/enable" || true
    grep -o '^[pr][0-9]*:vmxsim/[^ ]*' "$tracefs/kprobe_events" 2>/dev/null |
        sed 's/^[pr][0-9]*:/-:/' | while read -r probe; do echo "$probe" >> "$tracefs/kprobe_events"; done || true
    rmdir "$instance" || true
}
trap cleanup EXIT
cleanup
mkdir "$instance"
echo 0 > "$instance/tracing_on"
echo 65536 > "$instance/buffer_size_kb"        # for each CPU

# ---- events: the register, the guest's entries and exits, who runs
for event in msr/read_msr msr/write_msr; do
    echo 'msr == 0xc0000102' > "$instance/events/$event/filter"
    echo 1 > "$instance/events/$event/enable"
done
for event in kvm/kvm_entry kvm/kvm_exit kvm/kvm_msr kvm/kvm_cr kvm/kvm_userspace_exit sched/sched_switch; do
    if [ -e "$instance/events/$event/enable" ]; then
        echo 1 > "$instance/events/$event/enable"
    else
        echo "no event $event on this kernel" >&2
    fi
done

# ---- kprobes, with the offsets of struct vcpu_vmx from BTF (vcpu is its first member, so the
#      struct kvm_vcpu * in %di is the struct vcpu_vmx * as well)
offsets=$(python3 - <<'PYTHON' || true
import os
import struct


def load(path, names, types):
    """Append a BTF file's strings and types to those of its base."""
    with open(path, "rb") as file:
        data = file.read()
    magic, _, _, header, type_at, type_size, text_at, text_size = struct.unpack_from("<HBBIIIII", data)
    assert magic == 0xEB9F, path + ": not BTF"
    base = len(names)
    names += data[header + text_at : header + text_at + text_size]
    at, end = header + type_at, header + type_at + type_size
    extra = {1: 4, 3: 12, 14: 4, 17: 4}
    per_member = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
    while at < end:
        name, info, other = struct.unpack_from("<III", data, at)
        at += 12
        kind, count = info >> 24 & 31, info & 0xFFFF
        members = []
        if kind in (4, 5):
            for i in range(count):
                member, type_, offset = struct.unpack_from("<III", data, at + 12 * i)
                members.append((member, type_, offset & 0xFFFFFF if info >> 31 else offset))
        at += extra.get(kind, 0) + per_member.get(kind, 0) * count
        types.append((kind, name, other, members))
    return base


names, types = bytearray(), [(0, 0, 0, [])]
load("/sys/kernel/btf/vmlinux", names, types)
for module in ("kvm_intel",):
    if os.path.exists("/sys/kernel/btf/" + module):  # absent where KVM is built in
        load("/sys/kernel/btf/" + module, names, types)


def text(at):
    return names[at : names.index(0, at)].decode()


def find(type_, wanted, depth=0):
    """Bit offset of the member with this name, also in structs inside."""
    kind, _, other, members = types[type_]
    while kind in (8, 9, 10, 11, 18):  # typedef, volatile, const, restrict, type tag
        kind, _, other, members = types[other]
    for name, _, offset in members:
        if text(name) == wanted:
            return offset
    if depth < 3:
        for _, inner, offset in members:
            found = find(inner, wanted, depth + 1)
            if found is not None:
                return offset + found
    return None


def named(wanted):
    return next(i for i in reversed(range(len(types))) if types[i][0] == 4 and text(types[i][1]) == wanted and types[i][3])


vcpu, message = named("vcpu_vmx"), named("msr_data")
for key, offset in (
    ("loaded", find(vcpu, "guest_state_loaded")),
    ("hgs", find(vcpu, "msr_host_kernel_gs_base")),
    ("ggs", find(vcpu, "msr_guest_kernel_gs_base")),
    ("cefer", find(vcpu, "efer")),
    ("host", find(message, "host_initiated")),
    ("index", find(message, "index")),
    ("data", find(message, "data")),
):
    if offset is not None:
        print(f"{key}={offset // 8}")
PYTHON
)
echo "fields of struct vcpu_vmx and struct msr_data: ${offsets//$'\n'/ }" >&2

field() { # NAME REGISTER TYPE: a probe's argument, empty where BTF did not tell the offset
    local at
    at=$(sed -n "s/^$1=//p" <<< "$offsets")
    [ -z "$at" ] || printf ' %s=+%s(%%%s):%s' "$1" "$at" "$2" "$3"
}
state="$(field loaded di u8)$(field hgs di x64)$(field ggs di x64)$(field cefer di x64)"
message="$(field host si u8)$(field index si x32)$(field data si x64)"

probe() { # FUNCTION ARGUMENTS: at its entry and its return, if this kernel has not inlined it
    local symbol name found=
    # vt_ instead of vmx_ (Linux 6.16 on, with TDX) only calls the other: one of the two is enough
    for symbol in "$1" "$1.part.0" "${1/#vmx_/vt_}"; do
        [[ $found && $symbol = vt_* ]] && continue
        grep -q " $symbol\b\(\s\|\$\)" /proc/kallsyms || continue
        found=1
        name=${symbol/.part.0/_part}
        echo "p:vmxsim/$name $symbol$2" >> "$tracefs/kprobe_events" || continue
        echo "r:vmxsim/ret_$name $symbol" >> "$tracefs/kprobe_events" || true
    done
}
for function in vmx_prepare_switch_to_guest vmx_prepare_switch_to_host vmx_vcpu_load vmx_vcpu_put vmx_vcpu_run; do
    probe "$function" "$state"
done
for function in vmx_get_msr vmx_set_msr; do
    probe "$function" "$state$message"
done
probe vmx_set_efer "$state efer=%si:x64"
probe vmx_set_cr0 "$state cr0=%si:x64"
probe vmx_read_guest_kernel_gs_base "$state"
probe vmx_write_guest_kernel_gs_base "$state data=%si:x64"
probe vmx_enable_intercept_for_msr " msr=%si:x32 type=%dx:s32"
probe vmx_disable_intercept_for_msr " msr=%si:x32 type=%dx:s32"
if [ -d "$instance/events/vmxsim" ]; then
    echo 1 > "$instance/events/vmxsim/enable"
fi

# ---- record, stop, save
echo "recording for $seconds s: let the guest do what you want to see (Ctrl-C stops earlier)" >&2
trap 'true' INT
echo 1 > "$instance/tracing_on"
sleep "$seconds" || true
echo 0 > "$instance/tracing_on"
trap - INT
cat "$instance/trace" > "$out"
echo "$(grep -vc '^#' "$out") events in $out; now: vmxsim replay $out" >&2
