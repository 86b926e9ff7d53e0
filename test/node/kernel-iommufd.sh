#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the small kernel with iommufd: kernel-iommufd.sh CACHE
# Prints a directory below CACHE that holds vmlinuz, lib/modules/RELEASE and initramfs. Debian's
# kernel packages have no CONFIG_IOMMUFD, so its source package is built; that takes 7 to 12
# minutes on two processors, once per source version and fragment.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
source=linux-source-6.12
packages=("$source" bc bison flex gcc libelf-dev libssl-dev make xz-utils)
fragment=$here/kernel-iommufd.fragment

die() { printf 'kernel-iommufd: %s\n' "$*" >&2; exit 1; }
say() { printf 'kernel-iommufd: %s\n' "$*" >&2; }
checksum() { cat "$@" | sha256sum | cut -c1-12; }

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "install these packages as root: ${missing[*]}"
  say "installing ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" \
    >&2 || die "apt-get failed; $source comes from Debian's security archive"
}

build() {  # DIRECTORY: becomes the result
  work=$(mktemp -d "$cache/build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  say "building $(basename "$1"); the log is $cache/build.log"
  {
    tar -xf "/usr/src/$source.tar.xz" -C "$work" --strip-components=1
    make -C "$work" tinyconfig
    (cd "$work" && scripts/kconfig/merge_config.sh -m .config "$fragment" && make olddefconfig)
    local line
    while read -r line; do
      grep -qx "$line" "$work/.config" || die "$line is not possible with $source"
    done < <(grep '^CONFIG_' "$fragment")
    nice make -C "$work" -j"$(nproc)" bzImage modules
    make -C "$work" INSTALL_MOD_PATH="$work/result" INSTALL_MOD_STRIP=1 modules_install
    rm -f "$work"/result/lib/modules/*/{build,source}
    cp "$work/arch/x86/boot/bzImage" "$work/result/vmlinuz"
    mv "$work/result" "$1"
  } >"$cache/build.log" 2>&1 || { tail -5 "$cache/build.log" >&2; die "the build failed"; }
}

[ $# = 1 ] || die "usage: kernel-iommufd.sh CACHE"
mkdir -p "$1"
cache=$(readlink -f "$1")
exec 9>"$cache/lock"
flock 9
install_packages
version=$(dpkg-query -W -f '${Version}' "$source")
result=$cache/iommufd-$version-$(checksum "$fragment")
[ -f "$result/vmlinuz" ] || build "$result"

# init changes more often than the kernel.
initramfs=$result/initramfs-$(checksum "$here/init" "$here/initramfs.sh")
if [ ! -f "$initramfs" ]; then
  rm -f "$result"/initramfs*
  "$here/initramfs.sh" "$(ls "$result/lib/modules")" "$initramfs" "$result" >&2
  ln -s "$(basename "$initramfs")" "$result/initramfs"
fi
echo "$result"
