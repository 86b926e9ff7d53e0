# SPDX-License-Identifier: Apache-2.0
# A file system whose server does not answer, on which a process has a file open: whoever looks for
# users of GPUs does not ask it, and sees all the same who has a GPU.
node='--gpus 2 --boot-ms 300'
guest() {
  modprobe fuse
  mkdir -p /run/dead
  dead-filesystem /run/dead 2>/run/dead.log &
  server=$!
  eventually "it is mounted" grep -q ' /run/dead fuse.dead ' /proc/mounts
  sleep 1000 </run/dead/file &
  user=$!
  eventually "a process has a file open there" has_file
  kill -STOP $server
  fails 137 timeout -s KILL 2 stat /run/dead/file

  soon gpuhostctl status
  soon vfio-manage bind --all --dry-run
  soon vfio-manage bind --all
  soon cc-manager --standalone --once --mode on
  expect "switched" "on on" "$(modes)"
  exec 9<>"/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$(bdf 1)/iommu_group")")"
  fails 3 soon vfio-manage unbind --all
  expect_text "who has one is named" "bdf=$(bdf 1) error=\"in use by bash \\(pid $$\\)" "$output"
  exec 9>&-
  expect "the server has not answered" T "$(sed 's/.*) \(.\) .*/\1/' /proc/$server/stat)"
  kill -KILL $server $user
}
soon() { timeout -s KILL 240 "$@"; }
has_file() { [ "$(readlink /proc/$user/fd/0)" = /run/dead/file ] && [ "$(cat /proc/$user/comm)" = sleep ]; }
