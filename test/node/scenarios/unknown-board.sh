# SPDX-License-Identifier: Apache-2.0
# A GPU whose modes this version does not operate is bound, but no register of it is touched.
node='--gpus 2 --model a100 --forbid-bar-writes'
guest() {
  vfio-manage bind --all
  fails 3 switch on
  expect_text "it is named" "nothing changed.*$(bdf 1): GA100 has no confidential-computing modes" "$output"
  gpuhostctl status
}
