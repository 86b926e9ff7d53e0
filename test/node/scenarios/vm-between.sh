# SPDX-License-Identifier: Apache-2.0
# A real virtual machine that starts in the middle of a change is refused its GPU by the kernel, or the
# change is refused; no GPU stays armed, and nobody dies of it. Holding a VFIO group enables and resets nothing.
node='--gpus 2 --boot-ms 1000'
guest() {
  vfio-manage bind --all
  rm -f /run/go
  mkfifo /run/go
  hardware-sides on </run/go >/run/change 2>&1 &
  sides=$!
  exec 7>/run/go
  eventually "armed" grep -q '^arm: done' /run/change
  expect "the hold enables no GPU" "0 0" "$(enabled)"
  expect "and while they are changed nobody looks at them" "null null" "$(modes)"
  fails 1 machine "$(bdf 0)" 7>&-
  expect_text "the machine is refused" "Device or resource busy" "$output"
  exec 7>&-
  status=0
  wait $sides || status=$?
  cat /run/change
  expect "the change goes on" "0 on on" "$status $(modes)"
  armed_for_nothing

  # At any moment: one of the two is refused, and all GPUs are in one mode.
  RANDOM=7
  mode=on
  for round in $(seq 8); do
    before=$mode
    [ $mode = on ] && mode=off || mode=on
    switch $mode >/run/change 2>&1 &
    change=$!
    sleep "0.$((RANDOM % 9))"
    machine "$(bdf 0)" >/run/machine 2>&1 &
    vm=$!
    status=0
    wait $change || status=$?
    cat /run/change
    if [ $status = 0 ]; then before=$mode; else mode=$before; fi
    kill $vm 2>/dev/null || true
    wait $vm || true
    eventually "round $round: all are in one mode" are "$before $before"
    armed_for_nothing
  done

  # Somebody whom nobody sees: a container with process ids of its own.
  nested_vm "$(bdf 0)"
  [ $mode = on ] && other=off || other=on
  fails 3 unshare --pid --fork --mount-proc cc-manager --standalone --once --mode $other --workload-policy refuse
  expect_text "it is known that there is one" "$(bdf 0): in use by a process that cannot be seen from here" "$output"
  vm_undisturbed
  kill "$vm"
  wait "$vm" || true
  # Bus mastering that was left behind is no user.
  setpci -s "$(bdf 0)" COMMAND=6
  GPUHOST_NESTED_NODE=1 \
    unshare --pid --fork --mount-proc cc-manager --standalone --once --mode $other --workload-policy refuse
  expect "switched" "$other $other" "$(modes)"
}
are() { [ "$(modes)" = "$1" ]; }  # a GPU that a machine has just left boots
enabled() { for i in 0 1; do cat "/sys/bus/pci/devices/$(bdf $i)/enable"; done | xargs; }
machine() {
  exec qemu-system-x86_64 -accel tcg -M q35 -cpu max -m 64M -nodefaults -no-user-config -display none \
    -no-reboot -serial none -kernel "$(command -v nested-guest)" -device "vfio-pci,host=$1"
}
armed_for_nothing() { expect "nothing is armed" "" "$(gpuhostctl status --ask-firmware | grep armed || true)"; }
