# SPDX-License-Identifier: Apache-2.0
# A real virtual machine holds a GPU in the mode that was set before: bind, unbind and mode changes
# leave that GPU alone, and the machine notices nothing. When it has ended, the GPU can be taken.
node='--gpus 2 --boot-ms 300'
guest() {
  vfio-manage bind --all
  switch on
  nested_vm "$(bdf 0)"
  expect_text "the guest sees the board, and its mode" '10de:2331 identity 180000a1 mode 00000001' "$(cat "$vm_log")"
  vfio-manage bind --all
  fails 3 vfio-manage unbind --all
  expect_text "the machine is named" "$(bdf 0).*in use by qemu-system-x86 \(pid $vm\)" "$output"
  expect "the other one was free" "vfio-pci none" "$(drivers)"
  vfio-manage bind --all
  fails 3 switch off
  vm_undisturbed
  kill "$vm"
  wait "$vm" || true
  vfio-manage unbind --all
  expect "free when it has ended" "none none" "$(drivers)"
}
