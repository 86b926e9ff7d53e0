# SPDX-License-Identifier: Apache-2.0
# What scenarios on the virtual node share.

modes() { gpuhostctl status --json | sed -n 's/.*"mode": "\{0,1\}\([a-z]*\)"\{0,1\},/\1/p' | xargs; }
modes_are() { [ "$(modes)" = "$1" ]; }
drivers() { for d in /sys/bus/pci/devices/*; do [ "$(cat "$d/vendor")" != 0x10de ] || basename "$(readlink "$d/driver" || echo none)"; done | xargs; }
switch() { cc-manager --standalone --once --mode "$@"; }
bdf() { lspci -Dd 10de: | sed -n "$(($1 + 1))s/ .*//p"; }

# nested_vm BDF...: starts a virtual machine that has these devices and returns once its guest has
# read their registers. Sets $vm (pid) and $vm_log, where the guest says what it sees and twice a
# second whether each device still answers; QEMU's own complaints are in $vm_log.qemu.
nested_vm() {
  local device devices=()
  for device in "$@"; do devices+=(-device "vfio-pci,host=$device"); done
  vm_log=/run/nested-vm-$1.log
  qemu-system-x86_64 -accel tcg -M q35 -cpu max -m 64M -nodefaults -no-user-config -display none \
    -no-reboot -serial "file:$vm_log" -kernel "$(command -v nested-guest)" "${devices[@]}" 2>"$vm_log.qemu" &
  vm=$!
  eventually "the guest is up" vm_said '^guest: up' || { cat "$vm_log.qemu" "$vm_log"; return 1; }
}
# vm_said PATTERN [LOG]
vm_said() { kill -0 "$vm" && grep -Eq "$1" "${2:-$vm_log}" 2>/dev/null; }
# The guest goes on for another two beats with all of its devices, and QEMU has had no complaint.
vm_undisturbed() {
  local beats
  beats=$(grep -c '^guest: beat' "$vm_log" || true)
  eventually "the guest goes on" vm_beats $((beats + 2))
  expect "devices that the guest has lost" 0 "$(grep -c lost "$vm_log" || true)"
  expect "complaints of QEMU" "" "$(cat "$vm_log.qemu")"
  expect "requests of the kernel for a device" 0 "$(dmesg | grep -c 'Relaying device request' || true)"
}
vm_beats() { kill -0 "$vm" && [ "$(grep -c '^guest: beat' "$vm_log")" -ge "$1" ]; }
