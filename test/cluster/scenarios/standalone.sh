# SPDX-License-Identifier: Apache-2.0
# A kubelet without API server: a static pod gets its device.
cluster='--no-apiserver'
guest() {
  fake_gpus 1
  sandbox-device-plugin &
  eventually "its CDI file is there" test -f /var/run/cdi/nvidia.com-pgpu.yaml
  static_pod "ls /dev/vfio; sleep 1000"
  eventually "the static pod has it" static_pod_says 'vfio$'
  expect_text "and no other" ' 41$' "$(static_pod_output)"
}
