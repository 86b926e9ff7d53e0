# SPDX-License-Identifier: Apache-2.0
# Bare metal: what the documentation of the units says, done on a node where a real systemd runs them. They
# start in their order, are confined and yet do all their work, come back when killed, and their end
# undoes nothing.
node='--gpus 2 --boot-ms 300 --memory 2048'
plugins=/var/lib/kubelet/device-plugins
daemons="vfio-manager cc-manager sandbox-device-plugin kata-manager"
guest() {
  install_units
  mkdir -p $plugins
  echo 'mode = "on"' >/etc/gpuhost/cc-manager.toml
  start_systemd

  systemctl start gpuhost.target
  expect "all run" "active active active active" "$(each ActiveState)"
  expect "GPUs are bound before anybody else looks at them" "vfio-pci vfio-pci" "$(drivers)"
  expect "and switched before the plugin starts" "on on" "$(modes)"
  expect "each says what it does" "GPUs are on VFIO|all GPUs on" "$(show vfio-manager StatusText)|$(show cc-manager StatusText)"
  kubelet-stand-in --dir $plugins --until-devices 2 --timeout 60
  expect "the CDI file is there" yes "$([ -s /var/run/cdi/nvidia.com-pgpu.yaml ] && echo yes)"

  echo 'mode = "off"' >/etc/gpuhost/cc-manager.toml
  systemctl reload gpuhost-cc-manager
  eventually "another mode after a reload" modes_are "off off"

  for daemon in $daemons; do systemctl kill --kill-whom=main --signal=KILL "gpuhost-$daemon"; done
  eventually "those that were killed come back" each_is NRestarts "1 1 1 1"
  eventually "and are well" each_is ActiveState "active active active active"

  resets_after_release
  answers_http
  changes_containerd
  status=0
  systemctl start gpuhost-node-validator || status=$?
  expect "this is no confidential host" "1 exit-code 1" \
    "$status $(show node-validator Result) $(show node-validator ExecMainStatus)"
  expect "its confinement keeps nothing from the validator" "$(inside gpuhostctl doctor --json | results)" \
    "$(results </run/nvidia/gpuhost/node-validator.report.json)"

  systemctl stop gpuhost.target
  eventually "all end" each_is ActiveState "inactive inactive inactive inactive"
  expect "and well" "success success success success" "$(each Result)"
  expect "GPUs stay as they were" "vfio-pci vfio-pci off off" "$(drivers) $(modes)"

  vfio-manage unbind --all
  echo 'alias vfio_pci:v000010DEd00002331sv*sd*bc03sc02i00 no_such_vfio_pci' >>"/lib/modules/$(uname -r)/modules.alias"
  systemctl start --no-block gpuhost-vfio-manager
  eventually "a GPU that has a driver of its own gets no other" said vfio-manager 'no_such_vfio_pci is not there'
}

install_units() {
  cp -r "$(dirname "$(command -v cc-manager)")"/../. /usr/local
  mkdir -p /etc/gpuhost
  command systemctl enable gpuhost-vfio-manager gpuhost-cc-manager gpuhost-sandbox-device-plugin \
    gpuhost-kata-manager gpuhost.target
}

# systemd as process 1 of a namespace for processes. Of what a machine starts it gets the journal alone.
start_systemd() {
  local unit
  mount -t cgroup2 cgroup /sys/fs/cgroup
  tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id # this may be a container that has none
  mkdir -p /run/systemd/system /etc/systemd/system.conf.d
  # It is process 1 of a PID namespace of its own.
  printf '[Manager]\nDefaultEnvironment=GPUHOST_NESTED_NODE=1\n' >/etc/systemd/system.conf.d/nested.conf
  for unit in $(find /{lib,etc}/systemd/system/{sysinit,sockets,timers}.target.wants ! -name '*journald*' -type l); do
    ln -sf /dev/null "/run/systemd/system/${unit##*/}"
  done
  printf '[Unit]\nDescription=Nothing\n' >/run/systemd/system/nothing.target
  unshare --pid --fork --mount --mount-proc \
    env container=node /lib/systemd/systemd --system --unit=nothing.target --log-target=kmsg &
  eventually "systemd is up" systemctl is-active nothing.target
}
inside() { nsenter --target "$(pgrep -xo systemd)" --mount --pid --root --wd "$@"; }
systemctl() { inside systemctl --no-pager "$@"; }
journalctl() { command journalctl --no-pager --quiet "$@"; }
show() { systemctl show --property "$2" --value "gpuhost-$1"; }
each() { for daemon in $daemons; do show "$daemon" "$1"; done | xargs; }
each_is() { [ "$(each "$1")" = "$2" ]; }
said() { journalctl --unit "gpuhost-$1" | grep -Eq "$2"; }

results() { jq -r '.checks[] | .id + "=" + .result' | xargs; }

# drop_in DAEMON LINE...
drop_in() {
  local directory=/etc/systemd/system/gpuhost-$1.service.d
  mkdir -p "$directory"
  printf '%s\n' '[Service]' "${@:2}" >"$directory/wish.conf"
  systemctl daemon-reload
  systemctl restart "gpuhost-$1"
}

resets_after_release() {
  expect "the plugin cannot write to GPUs" no "$(plugin_can_reset)"
  echo 'SANDBOX_DEVICE_PLUGIN_OPTIONS=--reset-after-release' >/etc/gpuhost/sandbox-device-plugin.env
  drop_in sandbox-device-plugin ProtectKernelTunables=no
  expect "where that is wanted it can" yes "$(plugin_can_reset)"
  expect_text "and knows" 'reset-after-release' "$(tr '\0' ' ' <"/proc/$(plugin_pid)/cmdline")"
}
plugin_pid() { pgrep -xf '/usr/local/bin/sandbox-device-plugin.*'; }
plugin_can_reset() { nsenter --target "$(plugin_pid)" --mount --root test -w "/sys/bus/pci/devices/$(bdf 0)/reset" && echo yes || echo no; }

answers_http() {
  echo 'http-address = "127.0.0.1:9401"' >>/etc/gpuhost/cc-manager.toml
  drop_in cc-manager RestrictAddressFamilies=AF_INET IPAddressAllow=localhost
  eventually "cc-manager answers those who watch it" watched
}
watched() { (exec 3<>/dev/tcp/127.0.0.1/9401 && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && grep -q '^HTTP/1.. 200' <&3) 2>/dev/null; }

# A handler for a Kata that is installed already: containerd is restarted for it and asked.
changes_containerd() {
  mkdir -p /etc/containerd /opt/kata/bin
  printf '%s\n' 'version = 2' 'root = "/run/containerd-root"' >/etc/containerd/config.toml
  cp /bin/true /opt/kata/bin/containerd-shim-kata-v2
  echo '[hypervisor.qemu]' >/opt/kata/configuration.toml
  systemctl start containerd
  local before
  before=$(systemctl show --property MainPID --value containerd)
  printf '%s\n' 'runtimeClasses:' '- {name: kata-gpu, configPath: /opt/kata/configuration.toml}' >/etc/gpuhost/kata-manager.yaml
  systemctl reload gpuhost-kata-manager
  loaded() { kata-manager status | grep -Eq '^kata-gpu .* yes '; }
  eventually "the handler is there" loaded
  expect "containerd was restarted" no "$([ "$before" = "$(systemctl show --property MainPID --value containerd)" ] && echo yes || echo no)"
}
