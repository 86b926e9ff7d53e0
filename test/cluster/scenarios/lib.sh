# SPDX-License-Identifier: Apache-2.0
# What scenarios on the cluster share.

# fake_gpus COUNT: the machine's PCI devices give way to GPUs that look as if they were on vfio-pci.
fake_gpus() {
  local devices=$CLUSTER_RUN/devices index group
  mkdir -p /dev/vfio
  [ -e /dev/vfio/vfio ] || mknod /dev/vfio/vfio c 1 3
  for index in $(seq "$1"); do
    group=$((40 + index))
    local directory=$devices/0000:$group:00.0
    mkdir -p "$directory/power"
    echo 0x10de >"$directory/vendor"
    echo 0x2331 >"$directory/device"
    echo 0x030200 >"$directory/class"
    echo 0x10de >"$directory/subsystem_vendor"
    echo 0x1626 >"$directory/subsystem_device"
    echo 0 >"$directory/numa_node"
    echo vfio-pci >"$directory/driver_override"
    ln -s ../../drivers/vfio-pci "$directory/driver"
    ln -s "../../../../kernel/iommu_groups/$group" "$directory/iommu_group"
    mknod "/dev/vfio/$group" c 1 3
  done
  mount --bind "$devices" /sys/bus/pci/devices
}

# on_virtual_node FUNCTION OPTION...: beside a cluster, runs the function on a virtual node that reaches
# it. The node's root is what is seen here: the same paths lead to the same files.
on_virtual_node() {
  local function=$1
  shift
  declare -f >"$CLUSTER_RUN/functions"
  ./dev node --network --path "$(dirname "$(command -v kubectl)")" "$@" -- \
    bash -ec ". $CLUSTER_RUN/functions; $function"
}

# operator_rights: a Node gpu-node, and for cc-manager the account and rights that the GPU Operator gives
# it, no more and no less; $account is a kubeconfig with them.
operator_rights() {
  kubectl create namespace gpu-operator
  kubectl create serviceaccount nvidia-cc-manager --namespace gpu-operator
  kubectl apply -f - <<YAML
apiVersion: v1
kind: Node
metadata: {name: gpu-node, labels: {zone: a}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: nvidia-cc-manager}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [get, list, patch, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: nvidia-cc-manager}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nvidia-cc-manager}
subjects: [{kind: ServiceAccount, name: nvidia-cc-manager, namespace: gpu-operator}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: nvidia-cc-manager, namespace: gpu-operator}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: nvidia-cc-manager, namespace: gpu-operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: nvidia-cc-manager}
subjects: [{kind: ServiceAccount, name: nvidia-cc-manager, namespace: gpu-operator}]
YAML
  account=$(cluster-kubeconfig service-account gpu-operator nvidia-cc-manager)
  export account
}

# operand NAME LABEL-KEY DEPLOY: a DaemonSet like those of the GPU Operator: its pods carry the label KEY=NAME,
# and run where the label nvidia.com/gpu.deploy.DEPLOY says so.
operand() {
  kubectl apply -f - <<YAML
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: $1, namespace: gpu-operator}
spec:
  selector: {matchLabels: {$2: $1}}
  template:
    metadata: {labels: {$2: $1}}
    spec:
      nodeSelector: {nvidia.com/gpu.deploy.$3: "true"}
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: $CLUSTER_IMAGE, imagePullPolicy: Never, command: [sleep, "100000"]}
YAML
}

# beside_kubelet FUNCTION: on a virtual node, runs the function beside a standalone kubelet.
beside_kubelet() {
  local controller
  mount -t tmpfs tmpfs /mnt # the node's root is an overlay, which bears no other
  mount -t tmpfs tmpfs /sys/fs/cgroup
  for controller in cpu,cpuacct cpuset memory pids devices freezer blkio; do
    grep -q "^${controller%,*}[[:space:]]" /proc/cgroups || continue # this kernel has it not
    mkdir "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
  done
  modprobe veth || true # a part of the kernel with iommufd
  declare -f >/mnt/functions
  TMPDIR=/mnt test/cluster/cluster --no-apiserver --timeout 250 -- bash -ec ". /mnt/functions; $1"
}

allocatable() { kubectl get node "$CLUSTER_NODE" -o "jsonpath={.status.allocatable.nvidia\.com/$1}"; }
allocatable_is() { [ "$(allocatable "$1")" = "$2" ]; }

# pod NAME COUNT [LINE]: a pod that asks for so many nvidia.com/pgpu and prints the devices that it got;
# LINE is one more of its spec.
pod() {
  kubectl apply -f - <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  ${3:-}
  containers:
  - name: main
    image: $CLUSTER_IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "ls /dev/vfio; sleep 1000"]
    resources: {limits: {nvidia.com/pgpu: "$2"}}
YAML
}

# static_pod SCRIPT: for a standalone kubelet, a pod with one nvidia.com/pgpu that runs SCRIPT.
static_pod() {
  cat >"$CLUSTER_RUN/static-pods/static.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: static, namespace: default}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: $CLUSTER_IMAGE
    imagePullPolicy: Never
    command: [sh, -c, "$1"]
    resources: {limits: {nvidia.com/pgpu: "1"}}
YAML
}
static_pod_output() { cat /var/log/pods/*static*/main/*.log 2>/dev/null; }
static_pod_says() { static_pod_output | grep -q "$1"; }

# runs NAME: a pod of pod() has its container and has printed its devices.
runs() { phase_is "$1" Running && kubectl logs "$1" | grep -q vfio; }
phase_is() { [ "$(kubectl get pod "$1" -o 'jsonpath={.status.phase}')" = "$2" ]; }
