#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the programs of a pin from their Go modules: build.sh kubernetes-1.34 CACHE
# Prints a directory below CACHE with the programs that the `tool` lines of PIN/go.mod name, or with the one
# whose source is there. Once per pin and compiler; a Kubernetes takes six to ten minutes on two processors. Exit status 3: not on this
# machine, for want of Go or of a way to its modules.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
pin=$1
cache=$(mkdir -p "$2" && readlink -f "$2")

die() { printf 'modules: %s\n' "$*" >&2; exit 1; }
impossible() { printf 'modules: %s\n' "$*" >&2; exit 3; }
say() { printf 'modules: %s\n' "$*" >&2; }

[ -f "$here/$pin/go.mod" ] || die "'$pin' is not pinned; there are $(cd "$here" && ls -d -- */ | tr -d / | xargs)"
cd "$here/$pin"
wanted=$(sed -n 's/^go //p' go.mod)
command -v go >/dev/null || impossible "no Go compiler; install Go $wanted or newer"
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0
compiler=$(go version 2>&1) || impossible "go does not work here: $compiler"
go list -m >/dev/null 2>&1 || impossible "${compiler#go version } is too old for $pin; install Go $wanted or newer"

result=$cache/$pin-$({ cat go.mod go.sum $(ls ./*.go 2>/dev/null); echo "$compiler"; } | sha256sum | cut -c1-12)
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
    kubernetes-*) module=k8s.io/kubernetes ;;
    containerd-1.*) module=github.com/containerd/containerd ;;
    containerd-*) module=github.com/containerd/containerd/v2 ;;
    cdi-schema) module=tags.cncf.io/container-device-interface ;;
  esac
  timeout 120 go mod download "$module" >"$log" 2>&1 || {
    tail -2 "$log" >&2
    impossible "$module cannot be had; does this machine reach the Go module proxy (GOPROXY)?"
  }
  release=$(sed -n "s|^\s*$module \(v[0-9.]*\).*|\1|p" go.mod)
  minor=${release#v1.}
  case $pin in
    kubernetes-*)
      version=k8s.io/component-base/version
      stamp="-X $version.gitVersion=$release -X $version.gitMajor=1 -X $version.gitMinor=${minor%.*}"
      ;;
    containerd-*) stamp="-X $module/version.Version=$release" ;;
    cdi-schema) stamp= programs=. ;;
  esac
  mkdir -p "$result"
  go build -trimpath -o "$result/" -ldflags "-s -w $stamp" "${programs:-tool}" >"$log" 2>&1 || {
    tail -5 "$log" >&2
    die "the build failed; is the machine out of memory or the Go module proxy out of reach?"
  }
  touch "$result/complete"
fi
printf '%s\n' "$result"
