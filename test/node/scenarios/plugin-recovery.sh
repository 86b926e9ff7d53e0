# SPDX-License-Identifier: Apache-2.0
# What a node lives through: devices leave and come back, the kubelet starts again and again, the plugin
# is killed. After each the kubelet sees what is there.
node='--gpus 2'
dir=/var/lib/kubelet/device-plugins
healthy() { kubelet-stand-in --dir $dir --until-devices "$1" --timeout 60; }
state_is() { gpuhostctl devices | grep -Eq "^$1 .* $2( |\$)"; }
guest() {
  mkdir -p $dir /var/run/cdi
  vfio-manage bind --all
  sandbox-device-plugin &
  plugin=$!
  healthy 2
  first=$(bdf 0) second=$(bdf 1)
  eventually "both are told to others as offered" state_is "$second" offered

  vfio-manage unbind --device-id "$first"
  healthy 1
  vfio-manage bind --device-id "$first"
  healthy 2
  eventually "one that was bound again is offered again" state_is "$first" offered

  echo 1 >"/sys/bus/pci/devices/$second/remove"
  healthy 1
  echo 1 >/sys/bus/pci/rescan
  vfio-manage bind --device-id "$second"
  healthy 2

  for _ in $(seq 20); do healthy 2 >/dev/null; done
  expect "after twenty kubelets there is one socket" 1 "$(find $dir -name 'sandbox-*.sock' | wc -l)"
  rm -rf $dir
  mkdir -p $dir
  healthy 2 >/dev/null
  echo "ok: a directory that was wiped is filled again"

  kill -9 $plugin
  wait $plugin || true
  sandbox-device-plugin &
  plugin=$!
  healthy 2 >/dev/null
  echo "ok: one that was killed is replaced"
  fails 3 sandbox-device-plugin
  expect_text "a second one is refused" 'another sandbox-device-plugin runs' "$output"
  kill $plugin
  wait $plugin
  expect "no socket is left" 0 "$(find $dir -name 'sandbox-*.sock' | wc -l)"
}
