# SPDX-License-Identifier: Apache-2.0
# The real API server and the scripted one of the unit tests say the same to our client.
cluster='--no-kubelet'
[ "${CLUSTER_VERSION:-}" != 1.20 ] || skip="1.20 worded some refusals differently"
guest() {
  cd "$CLUSTER_RUN"
  cluster-part stop kube-controller-manager # it would change nodes that no kubelet looks after
  for name in transcript other; do
    kubectl apply -f - <<YAML
apiVersion: v1
kind: Node
metadata: {name: $name}
YAML
  done
  kubectl create serviceaccount stranger
  # The API server remembers what etcd has forgotten, until it starts anew.
  cat >forget <<'SH'
ETCDCTL_API=3 etcdctl compact "$1" && cluster-part kill kube-apiserver && cluster-part start kube-apiserver
until kubectl get --raw /readyz 2>/dev/null; do sleep 0.1; done
SH
  api-transcript "$KUBECONFIG" "$(cluster-kubeconfig service-account default stranger)" transcript other \
    "bash forget >&2" >real
  api-transcript >scripted
  expect_text "there is something to compare" '^watch while others change: .*BOOKMARK' "$(cat real)"
  diff real scripted
}
