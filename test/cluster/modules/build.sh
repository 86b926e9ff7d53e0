#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the programs of a pin from their Go modules: build.sh kubernetes-1.34 CACHE
# Prints a directory below CACHE with the programs that the `tool` lines of PIN/go.mod name. Once per
# pin and compiler; a Kubernetes takes six to ten minutes on two processors.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
pin=$1
cache=$(mkdir -p "$2" && readlink -f "$2")

die() { printf 'modules: %s\n' "$*" >&2; exit 1; }
say() { printf 'modules: %s\n' "$*" >&2; }

[ -f "$here/$pin/go.mod" ] || die "'$pin' is not pinned; there are $(cd "$here" && ls -d -- */ | tr -d / | xargs)"
cd "$here/$pin"
wanted=$(sed -n 's/^go //p' go.mod)
command -v go >/dev/null || die "no Go compiler; install Go $wanted or newer"
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0
compiler=$(go version 2>&1) || die "go does not work here: $compiler"
go list -m >/dev/null 2>&1 || die "${compiler#go version } is too old for $pin; install Go $wanted or newer"

result=$cache/$pin-$({ cat go.mod go.sum; echo "$compiler"; } | sha256sum | cut -c1-12)
if [ ! -f "$result/complete" ]; then
  exec 9>"$cache/$pin.lock"
  flock 9
fi
if [ ! -f "$result/complete" ]; then
  free=$(df --output=avail --block-size=1G "$cache" | tail -1 | xargs)
  [ "$free" -ge 8 ] || die "$cache has $free GB free and building $pin needs 8; make room or set XDG_CACHE_HOME"
  log=$cache/$pin.log
  say "building $pin with ${compiler#go version }; the log is $log"
  case $pin in
    kubernetes-*)
      release=$(sed -n 's|^\s*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' go.mod)
      version=k8s.io/component-base/version
      minor=${release#v1.}
      stamp="-X $version.gitVersion=$release -X $version.gitMajor=1 -X $version.gitMinor=${minor%.*}"
      ;;
    containerd-*)
      release=$(sed -n 's|^\s*github.com/containerd/containerd/v2 \(v[0-9.]*\).*|\1|p' go.mod)
      stamp="-X github.com/containerd/containerd/v2/version.Version=$release"
      ;;
  esac
  mkdir -p "$result"
  go build -trimpath -o "$result/" -ldflags "-s -w $stamp" tool >"$log" 2>&1 || {
    tail -5 "$log" >&2
    die "the build failed; does this machine reach the Go module proxy?"
  }
  touch "$result/complete"
fi
printf '%s\n' "$result"
