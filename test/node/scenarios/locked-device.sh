# SPDX-License-Identifier: Apache-2.0
# Somebody writes a GPU's address to vfio-pci's unbind while a virtual machine has the GPU: the kernel
# waits for the machine's end and keeps the GPU locked meanwhile. Whoever only looks is not held up, and
# whoever would change something is told who has it locked.
node='--gpus 2 --boot-ms 300'
guest() {
  vfio-manage bind --all
  nested_vm "$(bdf 0)"
  bash -c "echo $(bdf 0) >/sys/bus/pci/drivers/vfio-pci/unbind" &
  writer=$!
  eventually "it is written" writes
  cat "/sys/bus/pci/devices/$(bdf 0)/driver_override" >/dev/null &
  reader=$!
  eventually "who reads what is shown under the lock waits in the kernel" in_kernel $reader

  soon gpuhostctl status
  soon gpuhostctl status --json
  fails 3 soon vfio-manage bind --all --dry-run
  expect_text "who has it locked is named" "$(bdf 0).*locked for process $writer \(bash\), which writes to .*/vfio-pci/unbind" "$output"
  fails 3 soon vfio-manage bind --all
  expect_text "and the machine" "$(bdf 0).*in use by qemu-system-x86 \(pid $vm\)" "$output"
  # The kernel has taken the link to the driver away before it waits.
  expect "the other one stays" "none vfio-pci" "$(drivers)"
  fails 3 soon cc-manager --standalone --once --mode on
  expect_text "the machine is named again" "in use by qemu-system-x86 \(pid $vm\)" "$output"

  kill $vm
  wait $vm || true
  wait $writer
  wait $reader
  expect "the kernel has gone on" "none vfio-pci" "$(drivers)"
  soon vfio-manage bind --all
  switch on
}
soon() { timeout -s KILL 240 "$@"; }
writes() { [[ "$(readlink "/proc/$writer/fd/1")" = */unbind ]]; }
in_kernel() { grep -q ') D ' "/proc/$1/stat"; }
