# SPDX-License-Identifier: Apache-2.0
# Where no other daemon of the node is seen, the plugin reads its Node from the real API server, with the
# right that the GPU Operator gives it and no other, and holds devices back until mode and state agree.
cluster=''
guest() {
  fake_gpus 1
  kubectl create serviceaccount plugin
  kubectl create clusterrole plugin --verb=get --resource=nodes
  kubectl create clusterrolebinding plugin --clusterrole=plugin --serviceaccount=default:plugin
  account=$(cluster-kubeconfig service-account default plugin)
  label nvidia.com/gpu.deploy.cc-manager=true
  NODE_NAME=$CLUSTER_NODE sandbox-device-plugin --node-labels always --kubeconfig "$account" 2>"$CLUSTER_RUN/plugin.log" &
  plugin=$!
  eventually "before cc-manager's first word nothing is offered" capacity_without_offer
  eventually "and that is said" log_says 'no label nvidia.com/cc.mode.state yet'
  label nvidia.com/cc.mode=on nvidia.com/cc.mode.state=on
  eventually "mode and state agree" allocatable_is pgpu 1
  pod holder 1
  eventually "a pod gets the GPU" phase_is holder Running

  label nvidia.com/cc.mode=off
  eventually "another mode is wanted" allocatable_is pgpu 0
  expect "whoever has the GPU keeps it" Running "$(kubectl get pod holder -o 'jsonpath={.status.phase}')"
  label nvidia.com/cc.mode.state=failed
  eventually "the change has failed" log_says 'cc.mode.state is failed'
  label nvidia.com/cc.mode.state=off
  eventually "and succeeds in the end" allocatable_is pgpu 1
  label nvidia.com/gpu.deploy.kata-sandbox-device-plugin=paused-for-cc-mode-change
  eventually "paused" allocatable_is pgpu 0
  label nvidia.com/gpu.deploy.kata-sandbox-device-plugin=true
  eventually "called back" allocatable_is pgpu 1

  cluster-part kill kube-apiserver
  eventually "it is said that the API server is away" log_says 'labels of our node not read'
  cluster-part start kube-apiserver
  eventually "what was heard stays in force" allocatable_is pgpu 1
  kill $plugin
  wait $plugin
}
label() { kubectl label node "$CLUSTER_NODE" --overwrite "$@"; }
log_says() { grep -q "$1" "$CLUSTER_RUN/plugin.log"; }
capacity_without_offer() {
  [ "$(kubectl get node "$CLUSTER_NODE" -o 'jsonpath={.status.capacity.nvidia\.com/pgpu}')" = 1 ] && allocatable_is pgpu 0
}
