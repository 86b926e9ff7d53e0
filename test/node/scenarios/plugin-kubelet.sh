# SPDX-License-Identifier: Apache-2.0
# A kubelet that hangs, is slow or dies keeps the plugin from nothing but being heard. A plugin that is
# killed while a device is in use comes back to the same ids and takes nothing away from its user.
node='--gpus 2'
dir=/var/lib/kubelet/device-plugins
cdi=/var/run/cdi/nvidia.com-pgpu.yaml
healthy() { kubelet-stand-in --dir $dir --until-devices "$1" --timeout 60; }
state_is() { gpuhostctl devices | grep -Eq "^$1 .* $2( |\$)"; }
unit() { gpuhostctl devices | sed -n "s/^$1 *nvidia.com.pgpu=\([^ ]*\) .*/\1/p"; }
cdi_has() { [ "$(grep -c -- '- name' $cdi)" = "$1" ]; }
start() {
  sandbox-device-plugin "$@" 2>>/run/plugin.log &
  plugin=$!
}
listen() {
  rm -f /run/kubelet.log
  kubelet-stand-in --dir $dir --until-devices 99 --timeout 300 >/run/kubelet.log &
  kubelet=$!
}
guest() {
  mkdir -p $dir /var/run/cdi
  vfio-manage bind --all
  first=$(bdf 0) second=$(bdf 1)
  start
  listen
  eventually "registered" grep -q 'lists 2 devices' /run/kubelet.log

  kill -STOP $kubelet
  vfio-manage unbind --device-id "$first"
  eventually "while the kubelet hangs CDI is kept right" cdi_has 1
  eventually "and others are told" state_is "$first" withheld
  kill -CONT $kubelet
  eventually "the kubelet hears of it later" grep -q Unhealthy /run/kubelet.log
  vfio-manage bind --device-id "$first"
  kill -9 $kubelet
  wait $kubelet || true

  # Its socket is there and nobody answers: longer than a registration waits.
  listen
  eventually "it listens" grep -q 'listening' /run/kubelet.log
  kill -STOP $kubelet
  sleep 7
  kill -CONT $kubelet
  eventually "a slow kubelet gets its list" grep -q 'lists 2 devices' /run/kubelet.log
  kill -9 $kubelet
  wait $kubelet || true

  # In use, as a pod's virtual machine has it: the kubelet remembers, somebody holds it open.
  id=$(unit "$first")
  node=$(sed -n "/name: \"$id\"/,/path/s/.*path: //p" $cdi)
  exec 9<>"$node"
  cat >$dir/kubelet_internal_checkpoint <<JSON
{"Data": {"PodDeviceEntries": [{"PodUID": "u", "ContainerName": "c", "ResourceName": "nvidia.com/pgpu",
 "DeviceIDs": {"-1": ["$id"]}, "AllocResp": ""}], "RegisteredDevices": {"nvidia.com/pgpu": ["$id"]}}, "Checksum": 0}
JSON
  kill -9 $plugin
  wait $plugin || true
  start
  healthy 2
  expect "a device in use keeps its id" "$id" "$(unit "$first")"
  kill -9 $plugin
  wait $plugin || true
  start --ids address
  healthy 2
  expect "also when ids are to be addresses" "$id" "$(unit "$first")"
  expect "as the free one has it" "$second" "$(unit "$second")"
  exec 9>&-
  rm $dir/kubelet_internal_checkpoint
  by_address() { gpuhostctl devices | grep -Eq "^$first *nvidia.com/pgpu=$first *offered"; }
  eventually "and the other when it is free" by_address
  kill $plugin
  wait $plugin
  expect "no socket is left" 0 "$(find $dir -name 'sandbox-*.sock' | wc -l)"
}
