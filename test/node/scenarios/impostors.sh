# SPDX-License-Identifier: Apache-2.0
# Processes of a user, and some of root's inside a container, that are called as the node's own
# programs are, with lower numbers than the real ones. Our programs run as root: they neither run
# what such a process names nor take it for the node's own. What an impostor would be run with only
# adds a line to a file.
node='--gpus 1'
names='containerd kubelet crio k3s-server kubelite dockerd containerd-shim-kata-v2 k8s-kata-manager qemu-system-x86_64'
marker=/run/impostors
script='echo "$(id -u)" >>/run/impostors; printf %s "$0" >/proc/$$/comm; sleep 1000; true'
result() { jq -r ".checks[] | select(.id == \"$1\") | .result + \" \" + .observed" /run/doctor.json; }
# impostor NAME COMMAND...: starts it by that command; its arguments are what makes a shell, run
# again with them, do the same as it does itself.
impostor() {
  local name=$1
  shift
  "$@" bash -c 'exec -a "$1" bash -c "$2" "$1" -id nobody-was-here --config=/tmp/theirs --root-dir=/tmp/theirs' - "$name" "$script" \
    >/dev/null 2>&1 &
}
as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
contained() { unshare --mount-proc --pid --fork --ipc --uts "$@"; }
export -f as_user
lines() { wc -l <$marker; }
all_run() { [ "$(lines)" = "$wanted" ]; }
answers() { ctr --connect-timeout 1s version >/dev/null 2>&1; }
undisturbed() {
  expect "$1: nobody has run them again" "$wanted" "$(lines)"
  expect "$1: and root has not" "$roots" "$(grep -c '^0$' $marker || true)"
}
doctor() { "$@" --json >/run/doctor.json || [ $? -le 2 ]; }
guest() {
  : >$marker
  chmod 0666 $marker
  mkdir -p /tmp/theirs/pod-resources
  wanted=0 roots=0
  for name in $names; do
    impostor "$name" as_user
    impostor "$name" contained setpriv --reuid=65534 --regid=65534 --clear-groups
    impostor "$name" contained
    wanted=$((wanted + 3)) roots=$((roots + 1))
  done
  eventually "the impostors run" all_run

  for command in node-validator "gpuhostctl doctor"; do
    # shellcheck disable=SC2086
    doctor $command
    undisturbed "$command"
    expect_text "$command: there is no containerd" '^fail (it does not run|neither runs)' "$(result CTR-RUN)"
    expect "$command: there is no kubelet" "fail no process kubelet" "$(result KUBELET-RUN)"
    expect "$command: their directory is not read" 0 "$(grep -c /tmp/theirs /run/doctor.json || true)"
  done
  fails 1 node-validator --deep --support-bundle /run/bundle.tar.gz
  undisturbed "a bundle"

  rm -rf /etc/containerd
  mkdir -p /etc/containerd /opt/kata/bin
  printf '%s\n' 'version = 2' 'root = "/run/containerd-root"' >/etc/containerd/config.toml
  containerd >/run/containerd.log 2>&1 &
  containerd=$!
  eventually "containerd answers" answers || { tail -5 /run/containerd.log; return 1; }
  doctor node-validator --deep
  undisturbed "beside the real containerd"
  expect "the real one is told" "pass pid $containerd" "$(result CTR-RUN)"

  # What a user's process says of itself keeps nothing from being put in place or removed.
  printf '#!/bin/sh\n' >/opt/kata/bin/containerd-shim-kata-v2
  chmod 755 /opt/kata/bin/containerd-shim-kata-v2
  printf '[hypervisor.qemu]\n' >/opt/kata/configuration.toml
  printf '%s\n' 'runtimeClasses:' '- {name: kata-gpu, configPath: /opt/kata/configuration.toml}' \
    'containerd: {restart: never}' >/run/kata.yaml
  for verb in plan apply status uninstall "uninstall --legacy"; do
    status=0
    # shellcheck disable=SC2086
    output=$(kata-manager $verb --config /run/kata.yaml 2>&1) || status=$?
    echo "$output"
    undisturbed "kata-manager $verb"
    expect "kata-manager $verb: their sandbox is none" 0 "$(grep -c nobody-was-here <<<"$output" || true)"
    expect "kata-manager $verb: their manager is none" 0 "$(grep -c 'k8s-kata-manager.* runs' <<<"$output" || true)"
  done
  expect "no handler is left" 0 "$(grep -rc kata-gpu /etc/containerd/config.toml || true)"
}
