# SPDX-License-Identifier: Apache-2.0
# The side of cc-manager that talks to others cannot write a GPU, the other can; it sees the
# processes of all users, and keeps them from the devices of a change.
node='--gpus 3 --boot-ms 300'
# change STATUS MODE COMMAND...: a change that ends with this status; COMMAND runs between arming and
# resetting. What it says is in $output.
change() {
  local wanted=$1 mode=$2 status=0
  shift 2
  rm -f /run/go /run/change
  mkfifo /run/go
  hardware-sides "$mode" </run/go >/run/change 2>&1 &
  local sides=$!
  exec 7>/run/go
  eventually "armed for $mode" grep -q '^arm: done' /run/change
  "$@"
  exec 7>&-
  wait "$sides" || status=$?
  output=$(cat /run/change)
  echo "$output"
  expect "exit status of the change to $mode" "$wanted" "$status"
}
# Another user's process that has the group open, or tries to.
hold() { exec setpriv --reuid=65534 --clear-groups bash -c "exec 9<>$group && exec sleep 1000"; }
refused() { fails 1 hold 7>&-; }
sleeps() { [ "$(cat "/proc/$user/comm")" = sleep ]; }
leave() { echo 1 >"/sys/bus/pci/devices/$gone/remove"; }
guest() {
  vfio-manage bind --all
  group=/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$(bdf 1)/iommu_group")")
  change 0 on true
  for attribute in reset resource0 driver_override power/control; do
    expect_text "no way to $attribute" "^api side: $attribute: .*Permission denied" "$output"
  done
  expect "the other side has switched" "on on on" "$(modes)"

  chmod 666 "$group"
  change 0 off refused
  expect "nobody gets a GPU that is armed" "off off off" "$(modes)"

  hold >/dev/null 2>&1 &
  user=$!
  eventually "another user has it open" sleeps
  fails 3 hardware-sides on </dev/null
  expect_text "the user is named" "arm: $(bdf 1): in use by sleep \(pid $user\); end that first" "$output"
  expect "nothing was reset" "off off off" "$(modes)"
  kill $user
  expect "nothing is armed" "" "$(gpuhostctl status --ask-firmware | grep armed || true)"

  # A GPU that leaves the bus in the middle of a change does not stop the others.
  gone=$(bdf 2)
  change 3 devtools leave
  expect_text "it is named" "reset: $gone: write '1' to .*/$gone/reset" "$output"
  expect_text "nobody knows what it is armed for" "reset: $gone is unknown, pending unknown" "$output"
  expect "the others are switched" "devtools devtools" "$(modes)"
  expect_text "a record is there" '"driver": "vfio-pci"' "$(cat /run/nvidia/gpuhost-flight/*)"
  echo 1 >/sys/bus/pci/rescan
  vfio-manage bind --all
  switch devtools
  expect "it comes along when it is back" "devtools devtools devtools" "$(modes)"
}
