#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pins a Kubernetes release: pin.sh 1.34.4 writes 1.34/go.mod and 1.34/go.sum. For maintainers only;
# builds use what is committed. The published go.mod of Kubernetes names its own parts as v0.0.0, so
# each part needs a replace line.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
release=${1:?usage: pin.sh MAJOR.MINOR.PATCH}
minor=${release%.*}
parts=v0.${release#*.}

mkdir -p "$minor"
cd "$minor"
rm -f go.mod go.sum
go mod init gpuhost/test/cluster/kubernetes >/dev/null 2>&1
go mod edit -go=1.24.0 -require="k8s.io/kubernetes@v$release"
published=$(go mod download -json "k8s.io/kubernetes@v$release" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
for part in $(sed -n 's|^\s*\(k8s.io/[a-z-]*\) v0\.0\.0$|\1|p' "$published"); do
  go mod edit -replace="$part=$part@$parts"
done
for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl; do
  go mod edit -tool="k8s.io/kubernetes/cmd/$program"
done
GOTOOLCHAIN=local GOFLAGS=-mod=mod go mod tidy
sed -i '1i // SPDX-License-Identifier: Apache-2.0' go.mod
