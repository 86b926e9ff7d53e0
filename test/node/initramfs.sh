#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the initramfs of the virtual node: initramfs.sh KERNEL-RELEASE OUTPUT [MODULES-ROOT]
# MODULES-ROOT holds lib/modules/KERNEL-RELEASE; when it is given, these modules are put into the
# node's own /lib/modules, for the host does not have them.
set -euo pipefail
release=$1 output=$(readlink -f "$2") root=${3:-/}
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work" "$output.$$"' EXIT

mkdir -p "$work"/{bin,dev,proc,sys,host,layer,sysroot,modules}
cp "$(command -v busybox)" "$work/bin/busybox"
cp "$here/init" "$work/init"
chmod +x "$work/init"

# What mounting the host's tree and talking to it need; everything else is for the node to load.
for module in virtio_pci virtio_console 9pnet_virtio 9p overlay; do
  modprobe -d "$root" -S "$release" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r file; do
  cp "$file" "$work/modules/"
  basename "$file"
done >"$work/modules.order"

if [ "$root" != / ]; then
  mkdir -p "$work/lib"
  cp -r "$root/lib/modules" "$work/lib/modules"
fi
(cd "$work" && find . | cpio --quiet -o -H newc | gzip -1) >"$output.$$"
mv "$output.$$" "$output"
