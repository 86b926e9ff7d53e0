# SPDX-License-Identifier: Apache-2.0
# Among the GPU Operator's other pods: the documented procedure, word for word. DaemonSets follow their
# labels as the real controller lets them; GPUs are on a virtual node. The API server dies in mid-change.
cluster=''
guest() {
  operator_rights
  operand nvidia-vfio-manager name vfio-manager
  operand nvidia-kata-sandbox-device-plugin-daemonset app kata-sandbox-device-plugin
  kubectl label node "$CLUSTER_NODE" nvidia.com/gpu.deploy.vfio-manager=true \
    nvidia.com/gpu.deploy.kata-sandbox-device-plugin=true nvidia.com/gpu.deploy.sandbox-validator=false \
    nvidia.com/gpu.deploy.vgpu-manager=paused-for-cc-mode-change nvidia.com/cc.mode=off
  eventually "the operands run" operands_running
  before=$(operand_pods)
  log=$CLUSTER_RUN/node.log
  on_virtual_node follow --gpus 2 --boot-ms 500 >"$log" 2>&1 &
  trap 'kill $!; cat $log' EXIT
  eventually "mode off" state_is off false
  expect "nobody was sent away for nothing" "$before" "$(operand_pods)"
  expect "what an earlier version had left is mended" true "$(node_label 'gpu\.deploy\.vgpu-manager')"

  kubectl label node "$CLUSTER_NODE" nvidia.com/cc.mode=on --overwrite
  eventually "mode on" state_is on true
  expect "the document's query" '{ "nvidia.com/cc.mode": "on", "nvidia.com/cc.mode.state": "on" }' \
    "$(kubectl get node "$CLUSTER_NODE" -o json | jq '.metadata.labels | with_entries(select(.key | startswith("nvidia.com/cc.mode")))' | xargs -0 echo | tr -s ' \n' ' ' | sed 's/ $//')"
  eventually "the operands are back" operands_running
  expect "and they are new pods" 0 "$(comm -12 <(sort <<<"$before") <(operand_pods | sort) | wc -l)"
  labels_as_before

  kubectl label node "$CLUSTER_NODE" nvidia.com/cc.mode=off --overwrite
  eventually "a pause is on" operands_paused
  cluster-part kill kube-apiserver
  cluster-part start kube-apiserver
  eventually "the API server is back" kubectl get --raw /readyz
  eventually "and the change comes to its end" state_is off false
  labels_as_before
  eventually "with all operands" operands_running
  expect_text "in the words that people search for" "Successfully set CC mode to 'off' on all GPUs" "$(cat "$log")"
}

follow() {
  vfio-manage bind --all
  exec cc-manager --node-name "$CLUSTER_NODE" --kubeconfig "$account" --operator-namespace gpu-operator
}
node_label() { kubectl get node "$CLUSTER_NODE" -o "jsonpath={.metadata.labels.nvidia\.com/$1}"; }
state_is() { [ "$(node_label 'cc\.mode\.state')/$(node_label 'cc\.ready\.state')" = "$1/$2" ]; }
operand_pods() { kubectl get pods -n gpu-operator -o name; }
operands_running() { [ "$(kubectl get pods -n gpu-operator --field-selector status.phase=Running -o name | wc -l)" = 2 ]; }
operands_paused() { [ "$(node_label 'gpu\.deploy\.vfio-manager')" = paused-for-cc-mode-change ]; }
labels_as_before() {
  expect "the deploy labels are as they were" "true true false" \
    "$(node_label 'gpu\.deploy\.vfio-manager') $(node_label 'gpu\.deploy\.kata-sandbox-device-plugin') $(node_label 'gpu\.deploy\.sandbox-validator')"
}
