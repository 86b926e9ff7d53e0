#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds Kubernetes 1.20.2 from Debian 12's source package, with Debian's Go: debian.sh CACHE
# For machines without a Go compiler or without a way to the Go module proxy. Prints a directory below
# CACHE with the programs. Once; six to nine minutes on two processors.
set -euo pipefail
cache=$(mkdir -p "$1" && readlink -f "$1")
version=1.20.2
result=$cache/debian-$version
packages=(golang-go dpkg-dev golang-github-modern-go-reflect2-dev)

die() { printf 'modules: %s\n' "$*" >&2; exit 1; }
say() { printf 'modules: %s\n' "$*" >&2; }

if [ -f "$result/complete" ]; then
  printf '%s\n' "$result"
  exit
fi
exec 9>"$cache/debian.lock"
flock 9
free=$(df --output=avail --block-size=1G "$cache" | tail -1 | xargs)
[ "$free" -ge 6 ] || die "$cache has $free GB free and the build needs 6; make room or set XDG_CACHE_HOME"
log=$cache/debian-$version.log
work=$(mktemp -d "$cache/debian.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/src/k8s.io/kubernetes
export DEBIAN_FRONTEND=noninteractive GOPATH=$work GOCACHE=$work/cache GO111MODULE=off CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=

# The machine's own archive, with sources, in lists of our own.
fetch() {
  local uri options
  uri=$(apt-get indextargets --format '$(REPO_URI)|$(CODENAME)|$(LABEL)' 'Created-By: Packages' |
    awk -F'|' '$2 == "bookworm" && $3 == "Debian" { print $1; exit }')
  [ -n "$uri" ] || die "apt knows no archive of Debian 12 (bookworm)"
  mkdir -p "$work/apt"/{lists/partial,archives/partial}
  echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri bookworm main" >"$work/apt/sources.list"
  options=(-o "Dir::Etc::sourcelist=$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  cd "$work"
  apt-get "${options[@]}" source --download-only kubernetes/bookworm
  mkdir -p "$work/src/k8s.io"
  dpkg-source --no-check -x kubernetes_*.dsc "$tree"
}

# What upstream's makefiles generate and the package leaves out: the OpenAPI definitions.
generate() {
  local directories
  go build -o bin/ k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
  directories=$(grep -rl '+k8s:openapi-gen=' vendor/k8s.io pkg cmd --include='*.go' -R | grep -v zz_generated |
    grep -vE 'vendor/k8s.io/(code-generator|sample-apiserver)' | xargs -n1 dirname | sort -u |
    sed 's|^|k8s.io/kubernetes/|' | paste -sd,)
  bin/openapi-gen --logtostderr -i "$directories" -p k8s.io/kubernetes/pkg/generated/openapi \
    -O zz_generated.openapi -h hack/boilerplate/boilerplate.generatego.txt -r "$work/violations"
}

compile() {
  local stamp=k8s.io/kubernetes/vendor/k8s.io/component-base/version
  go build -o bin/ \
    -ldflags "-s -w -X $stamp.gitVersion=v$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=20" \
    k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kubectl}
}

build() {
  apt-get install -y -q --no-install-recommends "${packages[@]}"
  export PATH=/usr/lib/go-1.19/bin:$PATH
  fetch
  cd "$tree"
  # The vendored one crashes the API server when it is built with Go 1.18 or newer.
  rm -rf vendor/github.com/modern-go/reflect2
  cp -rL /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/
  generate
  compile
  mkdir -p "$result"
  cp bin/kube* "$result/"
  touch "$result/complete"
}

say "building Kubernetes $version from Debian's source package; the log is $log"
set +e # a subshell of an `if` or `||` would go on after an error
(set -e; build) >"$log" 2>&1
status=$?
set -e
[ $status = 0 ] || {
  tail -5 "$log" >&2
  die "the build failed"
}
printf '%s\n' "$result"
