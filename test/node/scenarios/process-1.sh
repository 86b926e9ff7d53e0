# SPDX-License-Identifier: Apache-2.0
# cc-manager is process 1 of a PID namespace, as in a container, and the side that talks to others is
# killed in the middle of a change: the hardware side finishes it, and no GPU stays armed.
node='--gpus 2 --boot-ms 4000'
guest() {
  vfio-manage bind --all
  mode=off
  for round in $(seq 6); do
    [ $mode = on ] && mode=off || mode=on
    rm -f /run/nvidia/gpuhost/cc-manager.json
    unshare --pid --fork cc-manager --standalone --once --mode $mode >/run/first.log 2>&1 &
    namespace=$!
    eventually "its GPUs are being reset" grep -qs '"phase": "resetting"' /run/nvidia/gpuhost/cc-manager.json
    first=$(pgrep -x -P $namespace cc-manager)
    kill -9 "$(pgrep -x -P "$first" cc-manager)"
    status=0
    wait $namespace || status=$?
    expect "it says that it failed" 3 $status
    expect "round $round: nobody is left" "" "$(pgrep -x cc-hardware || pgrep -x cc-manager || true)"
    expect "the reset was finished and verified" "$mode $mode" "$(modes)"
    expect "nothing is armed" "" "$(gpuhostctl status --ask-firmware | grep armed || true)"
  done
}
