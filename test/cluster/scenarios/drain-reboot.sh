# SPDX-License-Identifier: Apache-2.0
# A node is drained and starts again, and its IOMMU groups have changed places, as numbers of VFIO devices do: the
# kubelet still remembers the pods that have ended and the nodes that they were given, and drops them when it is sent a
# list. All GPUs are offered again, and the next pod gets the node of its own GPU.
cluster=''
guest() {
  fake_gpus 2
  sandbox-device-plugin --ids address &
  plugin=$!
  eventually "both are allocatable" allocatable_is pgpu 2
  pod a 1
  pod b 1
  eventually "a pod runs" runs a
  eventually "another too" runs b
  kill $plugin
  wait $plugin
  kubectl delete pod a b
  cluster-part stop kubelet
  expect "the kubelet remembers them" 2 "$(grep -o PodUID /var/lib/kubelet/device-plugins/kubelet_internal_checkpoint | wc -l)"

  local devices=$CLUSTER_RUN/devices
  ln -sfn ../../../../kernel/iommu_groups/42 "$devices/0000:41:00.0/iommu_group"
  ln -sfn ../../../../kernel/iommu_groups/41 "$devices/0000:42:00.0/iommu_group"
  sandbox-device-plugin --ids address &
  plugin=$!
  cluster-part start kubelet
  eventually "both are allocatable again" allocatable_is pgpu 2
  remembers_none() { ! grep -q PodUID /var/lib/kubelet/device-plugins/kubelet_internal_checkpoint; }
  eventually "the kubelet remembers them no more" remembers_none
  pod c 2
  eventually "a new pod gets both" runs c
  expect "which are these" "41 42 vfio" "$(kubectl logs c | xargs)"
  kill $plugin
  wait $plugin
}
