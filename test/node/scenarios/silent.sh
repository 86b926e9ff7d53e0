# SPDX-License-Identifier: Apache-2.0
# One firmware that does not answer: nothing is reset, nothing stays armed.
node='--gpus 2 --fault 1:rpc-silent --boot-ms 300'
guest() {
  vfio-manage bind --all
  fails 3 switch on
  expect_text "named" "$(bdf 1).*FSP did not answer" "$output"
  expect "both still off" "off off" "$(modes)"
  expect_text "the other is not armed" '"pending": "off"' "$(gpuhostctl status --ask-firmware --json)"
}
