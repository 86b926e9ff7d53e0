# SPDX-License-Identifier: Apache-2.0
# A kubelet inside the virtual node on the kernel with iommufd: a pod gets the character device of its own
# GPU and of no other, and a virtual machine with the other GPU reads the mode that was set before.
node='--gpus 2 --memory 4096 --boot-ms 300'
node+=' --kernel iommufd'
ls "${XDG_CACHE_HOME:-$HOME/.cache}"/gpuhost/kernel/iommufd-*/vmlinuz >/dev/null 2>&1 ||
  skip='its kernel is not built yet; ./dev node --kernel iommufd -- true does it in about ten minutes'
. "${BASH_SOURCE[0]%/*}/../../node/scenarios/lib.sh"
guest() {
  vfio-manage bind --all
  cc-manager --standalone --once --mode on
  beside_kubelet pod_beside_machine
}

pod_beside_machine() {
  sandbox-device-plugin --require-iommufd &
  plugin=$!
  eventually "its CDI file is there" test -f /var/run/cdi/nvidia.com-pgpu.yaml
  static_pod "cd /dev/vfio; exec 3<>devices/\$(ls devices) && echo opened \$(find . -type c | sort); sleep 1000"
  eventually "the pod has opened its GPU" static_pod_says opened
  echo "$(static_pod_output)"
  opened=$(static_pod_output | sed -n 's|.*opened ||p')
  expect_text "it sees one character device and nothing else" '^\./devices/vfio[01]$' "$opened"
  own=$(readlink -f "/sys/class/vfio-dev/${opened##*/}/device" | xargs basename)
  own_in_use() { gpuhostctl status | grep -q "^$own.*in use by sleep"; }
  eventually "which is in use" own_in_use
  other=$(bdf 0)
  [ "$other" != "$own" ] || other=$(bdf 1)

  nested_vm "$other"
  expect_text "the machine reads the mode of its GPU" '10de:2331 identity 180000a1 mode 00000001' "$(cat "$vm_log")"
  fails 3 cc-manager --standalone --once --mode off
  expect_text "both users are named" "$own: in use by .*sleep" "$output"
  expect_text "both users are named" "$other: in use by .*qemu-system-x86" "$output"
  vm_undisturbed
  kill "$vm" $plugin
  wait "$vm" || true
  wait $plugin
}
