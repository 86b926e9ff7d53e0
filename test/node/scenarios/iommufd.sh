# SPDX-License-Identifier: Apache-2.0
# A kernel with iommufd: each GPU has a VFIO character device, and that is what is shown and offered.
node='--gpus 2 --boot-ms 300'
[ "${NODE_KERNEL:-}" = iommufd ] || skip='on the kernel with iommufd only'
guest() {
  vfio-manage bind --all
  output=$(gpuhostctl status)
  echo "$output"
  expect "both have one" 2 "$(grep -c '/dev/vfio/devices/vfio[01] ' <<<"$output")"
  cdev=$(ls -d "/sys/bus/pci/devices/$(bdf 1)/vfio-dev/"*)
  exec 9<>"/dev/vfio/devices/$(basename "$cdev")"
  fails 3 switch on
  expect_text "its holder is named" "$(bdf 1): in use by .*bash \(pid $$\)" "$output"
  fails 3 vfio-manage unbind --all
  expect_text "nor is it unbound" "$(bdf 1).*in use by .*bash \(pid $$\)" "$output"
  exec 9>&-
  vfio-manage bind --all
  switch on
  expect "switched" "on on" "$(modes)"

  mkdir -p /var/lib/kubelet/device-plugins /var/run/cdi
  sandbox-device-plugin &
  plugin=$!
  output=$(kubelet-stand-in --dir /var/lib/kubelet/device-plugins --until-devices 2 --allocate nvidia.com/pgpu=2 --timeout 60)
  echo "$output"
  expect_text "character devices are handed out" '/dev/vfio/devices/vfio1 as' "$output"
  kill $plugin
  wait $plugin
}
