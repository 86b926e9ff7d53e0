#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the only image of the bench from nothing but Debian's static busybox: image.sh CACHE
# Prints the path of its archive. It serves as pause image and as the image of test pods.
set -euo pipefail
cache=$(mkdir -p "$1" && readlink -f "$1")
name=localhost/gpuhost-bench:1
die() { printf 'image: %s\n' "$*" >&2; exit 1; }

archive=$cache/image-$(cat /bin/busybox "$0" | sha256sum | cut -c1-12).tar
if [ ! -f "$archive" ]; then
  exec 9>"$cache/image.lock"
  flock 9
  storage() { buildah --root "$cache/image" --runroot "$cache/image-run" --storage-driver vfs "$@"; }
  log=$cache/image.log
  {
    container=$(storage from scratch)
    storage copy "$container" /bin/busybox /bin/busybox
    for tool in sh sleep ls cat echo test env; do
      root=$(storage mount "$container")
      ln -sf busybox "$root/bin/$tool"
      storage umount "$container"
    done
    storage config --cmd '["sleep", "2147483647"]' --env PATH=/bin "$container"
    storage commit "$container" "$name"
    storage rm "$container"
    rm -f "$archive.tmp"
    storage push "$name" "docker-archive:$archive.tmp:$name"
    mv "$archive.tmp" "$archive"
    rm -rf "$cache/image" "$cache/image-run"
  } >"$log" 2>&1 || { tail -3 "$log" >&2; die "buildah failed; the log is $log"; }
fi
printf '%s\n' "$archive"
