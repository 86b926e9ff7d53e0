#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pins a release; for maintainers only, builds use what is committed:
#   pin.sh kubernetes 1.34.4    writes kubernetes-1.34/go.mod and go.sum
#   pin.sh containerd 2.2.9     writes containerd-2.2/go.mod and go.sum; 1.7.35 and 2.1.9 likewise
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
[ $# = 2 ] || { sed -n '3,5s/^# //p' "$0" >&2; exit 2; }
name=$1 release=$2
case $name in
  kubernetes)
    module=k8s.io/kubernetes pin=kubernetes-${release%.*}
    programs=(cmd/kube-apiserver cmd/kube-controller-manager cmd/kube-scheduler cmd/kubelet cmd/kubectl)
    ;;
  containerd)
    module=github.com/containerd/containerd pin=containerd-${release%.*}
    programs=(cmd/containerd) # of the first, only its reading of configuration is of use
    [ "${release%%.*}" = 1 ] || { module+=/v2 && programs+=(cmd/containerd-shim-runc-v2 cmd/ctr); }
    ;;
  *) echo "pin.sh: '$name' is neither kubernetes nor containerd" >&2 && exit 2 ;;
esac

mkdir -p "$pin"
cd "$pin"
rm -f go.mod go.sum
go mod init "gpuhost/test/cluster/$pin" >/dev/null 2>&1
go mod edit -go=1.24.0 -require="$module@v$release"
if [ "$name" = kubernetes ]; then
  # Its published go.mod names its own parts as v0.0.0, so each part needs a replace line.
  published=$(go mod download -json "$module@v$release" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  for part in $(sed -n 's|^\s*\(k8s.io/[a-z-]*\) v0\.0\.0$|\1|p' "$published"); do
    go mod edit -replace="$part=$part@v0.${release#*.}"
  done
fi
for program in "${programs[@]}"; do go mod edit -tool="$module/$program"; done
GOTOOLCHAIN=local GOFLAGS=-mod=mod go mod tidy
sed -i '1i // SPDX-License-Identifier: Apache-2.0' go.mod
