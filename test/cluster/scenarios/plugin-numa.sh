# SPDX-License-Identifier: Apache-2.0
# The kubelet's Topology Manager gets the NUMA nodes of GPUs: with the policy single-numa-node it admits
# a pod whose GPU is on a node that the machine has, refuses one whose GPU is elsewhere, and does not
# mind one whose GPU's node is not known.
cluster=''
guest() {
  fake_gpus 1
  expect "the machine has the node 0 and no other" 0 "$(cat /sys/devices/system/node/online)"
  cluster-part stop kubelet
  echo 'topologyManagerPolicy: single-numa-node' >>"$CLUSTER_RUN/kubelet.yaml"
  cluster-part start kubelet
  sandbox-device-plugin &
  plugin=$!
  eventually "the GPU is allocatable" allocatable_is pgpu 1
  pod near 1
  eventually "a GPU near by is given away" phase_is near Running
  kubectl delete pod near

  put_on_node 1
  pod far 1
  eventually "one far away is not" phase_is far Failed
  expect "for this reason" TopologyAffinityError "$(kubectl get pod far -o 'jsonpath={.status.reason}')"

  put_on_node -1
  pod anywhere 1
  eventually "where the node is not known nobody is kept from it" phase_is anywhere Running
  kill $plugin
  wait $plugin
}
# put_on_node NODE: the GPU moves; a new plugin tells the kubelet.
put_on_node() {
  kill $plugin
  wait $plugin
  eventually "without plugin nothing is allocatable" allocatable_is pgpu 0
  echo "$1" >/sys/bus/pci/devices/0000:41:00.0/numa_node
  sandbox-device-plugin &
  plugin=$!
  eventually "it is allocatable again" allocatable_is pgpu 1
}
