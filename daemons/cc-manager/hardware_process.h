// SPDX-License-Identifier: Apache-2.0
//
// The privileged side of cc-manager as a process of its own. It knows four calls and nothing of
// Kubernetes; the side that talks to an API server has no rights to devices. Both are children of a
// third that does nothing but start them, see supervisor.h.
//
// While it lives the hardware side holds the lock of a daemon "cc-hardware", which service::IsAlive
// asks: as long as that is so devices may be armed or in a reset, also when cc-manager itself is
// gone, and nobody may be given one that the last document of cc-manager withdraws.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "daemons/cc-manager/hardware.h"
#include "daemons/cc-manager/hardware_messages.h"
#include "libgpuhost/base/unique_fd.h"
#include "libgpuhost/cc/plan.h"

struct pollfd;

namespace gpuhost::cc_manager {

// A way to a hardware side: descriptors as one message of a socket, see supervisor.h.
struct HardwareLink {
  UniqueFd process;  // readable once it has ended
  UniqueFd socket;   // our end
};
absl::Status Send(int control, const HardwareLink& link);

// The other side's view of it. Each call waits for its answer, at most ten minutes, and after a
// signal to end no longer than HearStop says. Once the hardware side is gone, or has given an
// answer that makes no sense, that call and those that belong to a change under way are
// kUnavailable; the next Query or Arm goes to a new one, where one can be had.
class HardwareProcess : public Hardware {
 public:
  // Runs `serve` with one end of a socket pair in a child that dies of no signal that a person or
  // an init system sends to all: SIGINT, SIGTERM, SIGHUP. It ends when the other end closes, also
  // by the death of this process, and is not cut off in the middle of a reset by that. When it is
  // gone there is no other. Call before the first thread starts.
  static absl::StatusOr<std::unique_ptr<HardwareProcess>> Fork(
      const std::function<void(int socket)>& serve);

  // Takes its hardware sides from the supervisor at the other end of `control`.
  explicit HardwareProcess(UniqueFd control) : control_(std::move(control)) {}

  // Hangs up; waits for a child of our own to disarm what is armed, at most 70 s.
  ~HardwareProcess() override;

  // Once `stop` is readable all calls together wait for `patience` and no longer; what is not
  // answered by then is given up, and ends by itself. `stop` must outlive this.
  void HearStop(int stop, Duration patience) {
    stop_ = stop;
    patience_ = patience;
  }

  absl::StatusOr<Survey> Query(cc::Mode mode, bool ask_firmware) override;
  absl::StatusOr<Progress> Arm(cc::Mode mode) override;
  absl::StatusOr<Progress> Disarm() override;
  absl::StatusOr<Progress> Reset() override;

  // Readable once the hardware side has ended, until the next call has found another; -1: none yet.
  int ended_fd() const { return link_.process.get(); }
  pid_t pid() const { return child_; }  // of Fork

 private:
  HardwareProcess(pid_t child, HardwareLink link) : child_(child), link_(std::move(link)) {}
  absl::Status Connect();
  bool Ended() const;
  absl::StatusOr<std::string> Call(const Request& request);
  absl::StatusOr<std::string> Exchange(const std::string& request);
  absl::Status Gone(std::string_view why);
  absl::StatusOr<Progress> CallForProgress(const Request& request);
  bool Wait(std::initializer_list<int> fds, Duration limit, std::vector<pollfd>& found);

  pid_t child_ = 0;
  UniqueFd control_;  // where the next link comes from; empty: from nowhere
  HardwareLink link_;
  int stop_ = -1;
  Duration patience_{};
  std::optional<TimePoint> give_up_at_;  // has heard `stop_`
};

// What a hardware side ends with when its peer has said something that is no request: then that
// peer is not to be trusted with another.
inline constexpr int kPeerTalksNonsense = 2;

// The hardware side of this machine, until the peer of `socket` is gone: LocalHardware over the
// files below `root`, confined to what it needs (see confine.h). The exit status.
int RunHardwareSide(const std::string& root, const cc::Policy& policy, int socket);

}  // namespace gpuhost::cc_manager
