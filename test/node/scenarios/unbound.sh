# SPDX-License-Identifier: Apache-2.0
# A GPU without any driver is switched as well, and is left as it was found.
node='--gpus 1 --boot-ms 300'
guest() {
  command=$(setpci -s "$(bdf 0)" COMMAND)
  switch on
  expect "driver" none "$(drivers)"
  expect "COMMAND is as before" "$command" "$(setpci -s "$(bdf 0)" COMMAND)"
  vfio-manage bind --all
  expect "mode" on "$(modes)"
}
