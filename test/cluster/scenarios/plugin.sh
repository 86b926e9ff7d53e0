# SPDX-License-Identifier: Apache-2.0
# The real kubelet takes the plugin's devices, hands them to pods, and finds the plugin again after its
# own restart.
cluster=''
guest() {
  fake_gpus 3
  sandbox-device-plugin &
  plugin=$!
  eventually "three GPUs are allocatable" allocatable_is pgpu 3

  pod two 2
  eventually "a pod with two of them runs" runs two
  got=$(kubectl logs two | xargs)
  expect_text "it sees two groups and the container node" '^4[1-3] 4[1-3] vfio$' "$got"
  pod four 4
  eventually "one that asks for more than there are waits" phase_is four Pending
  pod one 1
  eventually "the third goes to another pod" runs one
  rest=$(kubectl logs one | xargs)
  expect "each GPU has one pod" "41 42 43" "$(tr ' ' '\n' <<<"$got $rest" | grep -v vfio | sort | xargs)"

  has() { gpuhostctl devices | grep -q "nvidia.com/pgpu=.* default/$1/main"; }
  eventually "the plugin knows which pods have them" has two
  eventually "also the pod that came later" has one
  expect "each GPU is told with its pod" 3 "$(gpuhostctl devices | grep -c ' default/.*/main')"
  kill -9 $plugin
  wait $plugin || true
  touch "$CLUSTER_RUN/before"
  sandbox-device-plugin &
  plugin=$!
  is_new() { [ "$1" -nt "$CLUSTER_RUN/before" ]; }
  eventually "a new plugin tells" is_new /run/nvidia/gpuhost/sandbox-device-plugin.json
  eventually "it finds the pods that run" has one
  eventually "and all GPUs are allocatable" allocatable_is pgpu 3
  expect "the pod goes on" Running "$(kubectl get pod two -o 'jsonpath={.status.phase}')"

  cluster-part stop kubelet
  expect "the plugin lives on" yes "$(kill -0 $plugin && echo yes)"
  touch "$CLUSTER_RUN/before"
  cluster-part start kubelet
  eventually "its socket is new" is_new /var/lib/kubelet/device-plugins/kubelet.sock
  kubectl delete pod two one four --wait=false
  pod again 3
  eventually "after a restart of the kubelet a pod gets all three" runs again
  expect "which are all" "41 42 43 vfio" "$(kubectl logs again | xargs)"

  kill $plugin
  wait $plugin
  eventually "without plugin nothing is allocatable" allocatable_is pgpu 0
}
