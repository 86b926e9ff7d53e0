# SPDX-License-Identifier: Apache-2.0
# A pod has a GPU when another mode is wanted. With the policy drain it is evicted as soon as its
# PodDisruptionBudget allows that, and the change goes on when it has ended.
cluster=''
[ "${CLUSTER_VERSION:-}" != 1.20 ] || skip="1.20 knows evictions only in an older version"
guest() {
  operator_rights
  kubectl create clusterrole drain --verb=get,list,create --resource=pods,pods/eviction,events
  kubectl create clusterrolebinding drain --clusterrole=drain --serviceaccount=gpu-operator:nvidia-cc-manager
  kubectl patch node "$CLUSTER_NODE" --subresource=status --type=merge -p '{"status": {"capacity": {"nvidia.com/pgpu": "1"}}}'
  kubectl label node "$CLUSTER_NODE" nvidia.com/cc.mode=off
  eventually "a GPU is allocatable" allocatable_is pgpu 1
  pod llm 1
  kubectl label pod llm app=llm
  kubectl apply -f - <<YAML
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: keep}
spec: {minAvailable: 1, selector: {matchLabels: {app: llm}}}
YAML
  eventually "a pod has it" phase_is llm Running
  eventually "the budget is counted" budget_is_counted
  log=$CLUSTER_RUN/node.log
  on_virtual_node follow --gpus 1 --boot-ms 500 >"$log" 2>&1 &
  trap 'kill $!; cat $log' EXIT
  eventually "mode off" state_is off

  kubectl label node "$CLUSTER_NODE" nvidia.com/cc.mode=on --overwrite
  eventually "the change waits, and says for whom and why" status_says 'on: waiting: in use by pod default/llm; .*keep'
  eventually "an event says it too" event_says 'in use by pod default/llm'
  expect "the pod goes on" Running "$(kubectl get pod llm -o 'jsonpath={.status.phase}')"
  kubectl delete pdb keep
  eventually "without the budget the pod is evicted and the mode changes" state_is on
  expect "the pod is gone" "" "$(kubectl get pod llm --ignore-not-found -o name)"
}

follow() {
  vfio-manage bind --all
  exec cc-manager --node-name "$CLUSTER_NODE" --kubeconfig "$account" --workload-policy drain
}
state_is() { [ "$(kubectl get node "$CLUSTER_NODE" -o 'jsonpath={.metadata.labels.nvidia\.com/cc\.mode\.state}')" = "$1" ]; }
status_says() { kubectl get node "$CLUSTER_NODE" -o 'jsonpath={.metadata.annotations.nvidia\.com/cc\.manager\.status}' | grep -Eq "$1"; }
event_says() { kubectl get events -n default -o 'jsonpath={.items[*].message}' | grep -q "$1"; }
budget_is_counted() { [ "$(kubectl get pdb keep -o 'jsonpath={.status.currentHealthy}')" = 1 ]; }
