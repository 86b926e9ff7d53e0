# SPDX-License-Identifier: Apache-2.0
# The real API server and the scripted one of the unit tests say the same to our client.
cluster='--no-kubelet'
[ "${CLUSTER_VERSION:-}" != 1.20 ] || skip="1.20 worded some refusals differently"
guest() {
  cd "$CLUSTER_RUN"
  eventually "the namespace is ready for pods" kubectl get serviceaccount default
  cluster-part stop kube-controller-manager # it would change nodes that no kubelet looks after
  for name in transcript other; do
    kubectl apply -f - <<YAML
apiVersion: v1
kind: Node
metadata: {name: $name}
YAML
  done
  kubectl create serviceaccount stranger
  for name in one two three; do budget $name; done
  running_pod plain none
  running_pod guarded one
  running_pod torn several
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

# budget NAME: it allows no disruption; "one" is for pods of that budget, the others are for "several".
budget() {
  kubectl apply -f - <<YAML
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: $1}
spec:
  minAvailable: 1
  selector: {matchLabels: {budget: $([ "$1" = one ] && echo one || echo several)}}
YAML
  kubectl patch pdb "$1" --subresource=status --type=merge -p '{"status": {"observedGeneration": 1,
    "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}}'
}

# running_pod NAME BUDGET: as a kubelet would report it.
running_pod() {
  kubectl apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {budget: $2}}
spec:
  nodeName: transcript
  automountServiceAccountToken: false
  containers: [{name: main, image: none}]
YAML
  kubectl patch pod "$1" --subresource=status --type=merge -p '{"status": {"phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}]}}'
}
