# SPDX-License-Identifier: Apache-2.0
# The plugin advertises what is bound, withdraws what is not, and comes back after the kubelet.
node='--gpus 2'
dir=/var/lib/kubelet/device-plugins
guest() {
  mkdir -p $dir /var/run/cdi
  sandbox-device-plugin &
  plugin=$!
  vfio-manage bind --all
  kubelet-stand-in --dir $dir --until-devices 2 --allocate nvidia.com/pgpu=2 --timeout 60
  expect "a CDI file" nvidia.com-pgpu.yaml "$(ls /var/run/cdi)"
  vfio-manage unbind --device-id "$(bdf 0)"
  kubelet-stand-in --dir $dir --until-devices 1 --timeout 60
  kill $plugin
  wait $plugin
  expect "no socket is left" 0 "$(find $dir -name 'sandbox-*.sock' | wc -l)"
}
