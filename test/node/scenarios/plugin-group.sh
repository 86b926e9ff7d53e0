# SPDX-License-Identifier: Apache-2.0
# Two GPUs that share an IOMMU group are given away together, for the kernel lets a group have one owner.
node='--gpus 3 --paired'
dir=/var/lib/kubelet/device-plugins
healthy() { kubelet-stand-in --dir $dir --until-devices "$1" --timeout 60 "${@:2}"; }
unit() { gpuhostctl devices | sed -n "s/^$1 *\([^ ]*\) .*/\1/p"; }
guest() {
  mkdir -p $dir /var/run/cdi
  vfio-manage bind --all
  first=$(bdf 0) beside=$(bdf 1) alone=$(bdf 2)
  expect "the two share a group" "$(readlink "/sys/bus/pci/devices/$first/iommu_group")" \
    "$(readlink "/sys/bus/pci/devices/$beside/iommu_group")"
  sandbox-device-plugin &
  plugin=$!
  output=$(healthy 2 --allocate nvidia.com/pgpu=2)
  echo "$output"
  if [ -e /dev/iommu ]; then
    expect "three character devices and nothing else" "vfio0 vfio1 vfio2" \
      "$(sed -n 's|.* /dev/vfio/devices/\([^ ]*\) as .*|\1|p' <<<"$output" | sort | xargs)"
  else
    expect "two groups and the container node" 3 "$(grep -c ' as /dev/vfio/' <<<"$output")"
  fi
  eventually "others are told" test -n "$(unit "$alone")"
  expect "one unit has both" "$(unit "$first")" "$(unit "$beside")"
  expect "the third has its own" no "$([ "$(unit "$first")" = "$(unit "$alone")" ] && echo yes || echo no)"

  # Without the other the first is a unit still.
  echo "$beside" >/sys/bus/pci/drivers/vfio-pci/unbind
  gone() { ! gpuhostctl devices | grep -q "^$beside "; }
  eventually "the other one is not told any more" gone
  healthy 2
  expect "what is left of the unit goes alone" 1 "$(gpuhostctl devices | grep -c "^$first ")"
  kill $plugin
  wait $plugin
}
