#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the programs of a pinned Kubernetes release from their Go modules: build.sh 1.34 CACHE
# Prints a directory below CACHE with kube-apiserver, kube-controller-manager, kube-scheduler, kubelet
# and kubectl. Once per pin and compiler; that takes about ten minutes on two processors.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
minor=$1
cache=$(mkdir -p "$2" && readlink -f "$2")

die() { printf 'kubernetes: %s\n' "$*" >&2; exit 1; }
say() { printf 'kubernetes: %s\n' "$*" >&2; }

[ -f "$here/$minor/go.mod" ] ||
  die "version $minor is not pinned here; there are $(cd "$here" && ls -d [0-9]* | xargs)"
command -v go >/dev/null || die "no Go compiler; install Go $(sed -n 's/^go //p' "$here/$minor/go.mod") or newer"
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0
cd "$here/$minor"
compiler=$(go version 2>&1) || die "go does not work here: $compiler"
release=$(sed -n 's|^\s*k8s.io/kubernetes v||p' go.mod | cut -d' ' -f1)
result=$cache/kubernetes-$release-$({ cat go.mod go.sum; echo "$compiler"; } | sha256sum | cut -c1-12)
if [ -f "$result/complete" ]; then
  printf '%s\n' "$result"
  exit
fi

exec 9>"$cache/lock"
flock 9
log=$cache/kubernetes-$release.log
version=k8s.io/component-base/version
say "building $release with ${compiler#go version }; the log is $log"
mkdir -p "$result"
go build -trimpath -o "$result/" -ldflags "-s -w -X $version.gitVersion=v$release \
  -X $version.gitMajor=${minor%.*} -X $version.gitMinor=${minor#*.} -X $version.gitTreeState=clean" \
  tool >"$log" 2>&1 || { tail -5 "$log" >&2; die "the build failed; is the module proxy reachable and $(df -h --output=avail "$cache" | tail -1 | xargs) of disk enough?"; }
touch "$result/complete"
printf '%s\n' "$result"
