# SPDX-License-Identifier: Apache-2.0
# A kernel that is locked down, as Secure Boot does it, keeps BAR0 from programs; awake or asleep, no
# GPU is touched.
node='--gpus 2 --boot-ms 300 --forbid-bar-writes'
guest() {
  vfio-manage bind --all
  echo integrity >/sys/kernel/security/lockdown
  fails 3 switch on
  expect_text "named, with the remedy" "$(bdf 0): .*the kernel is locked down \(integrity\).*Secure Boot" "$output"
  control=/sys/bus/pci/devices/$(bdf 1)/power/control
  echo auto >"$control"
  fails 3 switch on
  expect_text "both" "$(bdf 0): .*locked down.*$(bdf 1): .*locked down" "$output"
  expect "not even woken" auto "$(cat "$control")"
}
