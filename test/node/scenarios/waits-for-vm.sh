# SPDX-License-Identifier: Apache-2.0
# A real virtual machine holds a GPU when another mode is wanted: the change waits, says for whom, and
# the machine notices nothing. When it has ended the change goes on. A restart of cc-manager while a
# machine runs is no reason for a change.
node='--gpus 2 --boot-ms 300'
guest() {
  vfio-manage bind --all
  mkdir -p /etc/gpuhost
  wish on
  manage
  eventually "both are on" modes_are "on on"
  nested_vm "$(bdf 0)"

  wish off
  kill -HUP $cc
  eventually "the change waits, and says for whom" document_says "$(bdf 0): in use by qemu-system-x86 (pid $vm)"
  vm_undisturbed
  wish on
  kill -HUP $cc
  eventually "the wish is taken back" document_says '"phase": "steady"'

  kill $cc
  wait $cc
  manage
  eventually "after a restart all is well" grep -q 'all GPUs are in the mode mode=on' /run/cc.log
  vm_undisturbed

  wish off
  kill -HUP $cc
  eventually "it waits again" document_says '"phase": "waiting"'
  kill "$vm"
  eventually "the machine has ended, the change goes on" modes_are "off off"
  kill $cc
  wait $cc
  expect "no GPU was reset twice for one change" 2 "$(grep -c ' switched ' /run/cc.log)"
}
manage() {
  rm -f /run/cc.log
  cc-manager --standalone --config /etc/gpuhost/cc-manager.toml 2>/run/cc.log &
  cc=$!
}
wish() { echo "mode = \"$1\"" >/etc/gpuhost/cc-manager.toml; }
document_says() { grep -qF "$1" /run/nvidia/gpuhost/cc-manager.json; }
