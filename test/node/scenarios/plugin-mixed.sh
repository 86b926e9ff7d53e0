# SPDX-License-Identifier: Apache-2.0
# Two models under one alias are one resource with one server: nobody takes another's socket away. With
# names of models they are two.
node='--gpus 2 --model h100-pcie,h200-sxm'
dir=/var/lib/kubelet/device-plugins
guest() {
  mkdir -p $dir /var/run/cdi
  vfio-manage bind --all
  sandbox-device-plugin &
  plugin=$!
  kubelet-stand-in --dir $dir --until-devices 2 --allocate nvidia.com/pgpu=2 --timeout 60
  # Nothing flaps: for ten seconds there is one registration and one list.
  fails 1 kubelet-stand-in --dir $dir --until-devices 99 --timeout 10
  expect "registrations" 1 "$(grep -c ' registered with ' <<<"$output")"
  expect "lists" 1 "$(grep -c ' lists 2 devices' <<<"$output")"
  expect "one socket" 1 "$(find $dir -name 'sandbox-*.sock' | wc -l)"
  expect "one CDI file" nvidia.com-pgpu.yaml "$(ls /var/run/cdi)"
  kill $plugin
  wait $plugin

  P_GPU_ALIAS='' sandbox-device-plugin &
  plugin=$!
  kubelet-stand-in --dir $dir --until-devices 2 --timeout 60 \
    --allocate nvidia.com/GH100_H100_PCIE=1 --allocate nvidia.com/GH100_H200_SXM_141GB=1
  expect "two CDI files, and the old one is gone" "nvidia.com-GH100_H100_PCIE.yaml nvidia.com-GH100_H200_SXM_141GB.yaml" \
    "$(ls /var/run/cdi | xargs)"
  kill $plugin
  wait $plugin
}
