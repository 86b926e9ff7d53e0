# SPDX-License-Identifier: Apache-2.0
# One GPU never comes back from its reset, another boots slowly: the kernel is waited for 65 s, the slow
# one is waited for too, and the others are switched.
node='--gpus 4 --fault 1:reset-hangs --fault 2:slow-boot --boot-ms 500'
guest() {
  vfio-manage bind --all
  fails 3 switch on
  expect_text "the stuck one is named" "not switched.*$(bdf 1).*did not come back from its reset" "$output"
  for i in 0 2 3; do
    expect_text "GPU $i is on" "switched bdf=$(bdf $i) from=off to=on" "$output"
  done
}
