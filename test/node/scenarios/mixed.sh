# SPDX-License-Identifier: Apache-2.0
# One GPU that cannot have a mode keeps the whole node out of it.
node='--gpus 2 --model b200 --nvswitches 1 --boot-ms 300'
guest() {
  vfio-manage bind --all
  fails 3 switch ppcie
  expect_text "the Blackwell GPUs are named" "$(bdf 0): GB100 has no protected PCIe.*$(bdf 1): GB100" "$output"
  expect "nothing has changed" "off off off" "$(modes)"
  switch on
  expect "mode on is possible" "on on off" "$(modes)"
}
