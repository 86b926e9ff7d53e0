#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the operands' images with buildah and starts each program once: build.sh [TARGET]...
# Needs nothing beyond Debian's mirror: the base image is made of its packages when it is not there.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
[ $# -gt 0 ] || set -- vfio-manager cc-manager kata-manager sandbox-device-plugin node-validator
readonly base=localhost/gpuhost-base:12
readonly cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/gpuhost
readonly tag=${GPUHOST_IMAGE_TAG:-dev}

die() { printf 'images: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "run it as root; building images in a chroot needs it"
for tool in buildah mmdebstrap; do
  command -v $tool >/dev/null || DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends buildah mmdebstrap >"$cache/images.log" 2>&1 ||
    die "apt-get failed; the log is $cache/images.log"
done
storage() { buildah --root "$cache/containers" --runroot "$cache/containers-run" --storage-driver "${GPUHOST_STORAGE:-overlay}" "$@"; }

if ! storage inspect --type image "$base" >/dev/null 2>&1; then
  echo "images: making the base from Debian packages"
  mkdir -p "$cache"
  mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$cache/base.tar"
  container=$(storage from scratch)
  storage add -q "$container" "$cache/base.tar" / >/dev/null
  storage commit -q "$container" "$base" >/dev/null
  storage rm "$container" >/dev/null
  rm -f "$cache/base.tar"
fi

for target in "$@"; do
  image=localhost/gpuhost/$target:$tag
  echo "images: building $image"
  storage bud --pull-never --isolation chroot --layers --ignorefile images/ignore \
    --build-arg BASE="$base" --target "$target" -t "$image" -f images/Containerfile . \
    >"$cache/images-$target.log" 2>&1 ||
    { tail -5 "$cache/images-$target.log" >&2; die "$target failed; the log is $cache/images-$target.log"; }
  container=$(storage from --pull-never "$image")
  storage run --isolation chroot "$container" -- "$target" --version ||
    die "$target does not start in its image"
  storage rm "$container" >/dev/null
  storage images --format '{{.Name}}:{{.Tag}} {{.Size}}' "$image"
done
