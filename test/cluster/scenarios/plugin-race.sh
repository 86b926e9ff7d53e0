# SPDX-License-Identifier: Apache-2.0
# Two pods that nobody has scheduled race for the last GPU: the kubelet gives it to one of them, and the
# other fails with a reason. When the winner has gone the next one gets it.
cluster=''
guest() {
  fake_gpus 1
  sandbox-device-plugin &
  plugin=$!
  eventually "the GPU is allocatable" allocatable_is pgpu 1
  pod left 1 "nodeName: $CLUSTER_NODE" &
  local left=$!
  pod right 1 "nodeName: $CLUSTER_NODE" &
  wait $left $!
  decided() { [ "$(phases)" = "Failed Running" ]; }
  eventually "one has it and the other has failed" decided
  winner=left loser=right
  phase_is left Running || { winner=right loser=left; }
  expect_text "the loser is told why" '^(UnexpectedAdmissionError|OutOfnvidia.com/pgpu)$' \
    "$(kubectl get pod $loser -o 'jsonpath={.status.reason}')"
  eventually "the winner runs" runs $winner
  expect "the winner sees its GPU" "41 vfio" "$(kubectl logs $winner | xargs)"
  eventually "the plugin knows who has it" has $winner
  expect "and that it is one" 1 "$(gpuhostctl devices | grep -c default/)"

  kubectl delete pod $winner
  pod next 1 "nodeName: $CLUSTER_NODE"
  eventually "when the winner has gone the next gets it" phase_is next Running
  kill $plugin
  wait $plugin
}
phases() { kubectl get pods left right -o 'jsonpath={.items[*].status.phase}' | tr ' ' '\n' | sort | xargs; }
has() { gpuhostctl devices | grep -q "nvidia.com/pgpu=41 .* default/$1/main"; }
