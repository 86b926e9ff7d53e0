# SPDX-License-Identifier: Apache-2.0
# The commands of the GPU Operator's DaemonSets, in surroundings like theirs: a mount namespace with
# the host at /host, its own /run, a PID namespace, and the environment that the operator sets.
node='--gpus 2'
# container ENVIRONMENT... -- ARGV...
container() {
  unshare --mount --pid --fork bash -c '
    mkdir -p /host && mount --rbind / /host && mount -t proc proc /proc && mount -t tmpfs tmpfs /run
    environment=() && while [ "$1" != -- ]; do environment+=("$1"); shift; done; shift
    exec env -i PATH="$PATH" "${environment[@]}" "$@"' container "$@" 9>&-
}
programs() {  # as in the image
  mkdir -p /usr/bin
  local real
  real=$(readlink -f "$(command -v vfio-manage)")
  ln -sf "$real" /usr/bin/driver-manager
  ln -sf "$real" '/usr/bin/vfio-manage unbind --all'
}
init() { container NODE_NAME=n NVIDIA_VISIBLE_DEVICES=void ENABLE_GPU_POD_EVICTION=false ENABLE_AUTO_DRAIN=false OPERATOR_NAMESPACE=o -- driver-manager uninstall_driver; }
guest() {
  programs
  init
  expect "nothing to uninstall" "none none" "$(drivers)"
  container HOST_ROOT=/host -- /bin/sh -c 'vfio-manage bind --all && echo then sleeps'
  expect "26.3, 26.7: bound" "vfio-pci vfio-pci" "$(drivers)"
  expect "what is bound is known to the host" 2 "$(ls /run/nvidia/gpuhost/vfio | wc -l)"
  init
  expect "a restart of the pod leaves them bound" "vfio-pci vfio-pci" "$(drivers)"

  # A virtual machine elsewhere on the host has the second; the container's own /proc does not show it.
  group=$(basename "$(readlink "/sys/bus/pci/devices/$(bdf 1)/iommu_group")")
  exec 9<>"/dev/vfio/$group"
  init
  fails 3 container HOST_ROOT=/host -- 'vfio-manage unbind --all'
  expect_text "who has it" 'in use by bash \(pid ' "$output"
  expect "26.3: preStop of one word, the one in use stays" "none vfio-pci" "$(drivers)"
  container HOST_ROOT=/host -- /bin/sh -c 'vfio-manage unbind --all --compat-exit'
  exec 9>&-
  container HOST_ROOT=/host -- /bin/sh -c 'vfio-manage unbind --all'
  expect "26.7: preStop" "none none" "$(drivers)"

  container HOST_ROOT=/mnt/root-of-the-host -- vfio-manage bind -a
  expect "HOST_ROOT names a path of the host, and /host is taken" "vfio-pci vfio-pci" "$(drivers)"
  container HOST_ROOT=/host -- vfio-manage unbind -d "$(bdf 0)"
  expect "one device" "none vfio-pci" "$(drivers)"
  fails 1 container -- vfio-manage bind
  expect_text "usage" 'either --all or --device-id must be specified' "$output"
  fails 1 container -- vfio-manage bind --all -d "$(bdf 0)"
  expect_text "usage" 'cannot specify both --all and --device-id' "$output"

  # G25: its own script cannot be replaced, its arguments can.
  container HOST_ROOT=/host -- /bin/sh -c 'exec vfio-manage run --all' &
  pod=$!
  both_bound() { [ "$(drivers)" = "vfio-pci vfio-pci" ]; }
  eventually "25.10: run as process 1" both_bound
  kill "$(pgrep -f 'vfio-manage run' | tail -1)"
  wait $pod
  expect "stays bound" "vfio-pci vfio-pci" "$(drivers)"
}
