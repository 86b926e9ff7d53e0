// SPDX-License-Identifier: Apache-2.0
//
// The privileged side of cc-manager as a process of its own. It knows four calls and nothing of
// Kubernetes; the side that talks to an API server has no rights to devices.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>

#include "daemons/cc-manager/hardware.h"
#include "daemons/cc-manager/hardware_messages.h"
#include "libgpuhost/base/unique_fd.h"

namespace gpuhost::cc_manager {

// The other side's view of it. Each call waits for its answer. Once it is gone, or has given an
// answer that makes no sense, every call is kUnavailable.
class HardwareProcess : public Hardware {
 public:
  // Runs `serve` with one end of a socket pair in a child that dies of no signal that a person or
  // an init system sends to all: SIGINT, SIGTERM, SIGHUP. It ends when the other end closes, also
  // by the death of this process, and is not cut off in the middle of a reset by that.
  // Call before the first thread starts.
  static absl::StatusOr<std::unique_ptr<HardwareProcess>> Fork(
      const std::function<void(int socket)>& serve);

  // Hangs up and waits for the child to disarm what is armed, at most 70 s.
  ~HardwareProcess() override;

  absl::StatusOr<Survey> Query(cc::Mode mode, bool ask_firmware) override;
  absl::StatusOr<Progress> Arm(cc::Mode mode, bool force) override;
  absl::StatusOr<Progress> Disarm() override;
  absl::StatusOr<Progress> Reset() override;

  pid_t pid() const { return pid_; }

 private:
  HardwareProcess(pid_t pid, UniqueFd process, UniqueFd socket)
      : pid_(pid), process_(std::move(process)), socket_(std::move(socket)) {}
  absl::StatusOr<std::string> Call(const Request& request);
  absl::StatusOr<std::string> Exchange(const std::string& request);
  absl::Status Gone(std::string_view why);
  absl::StatusOr<Progress> CallForProgress(const Request& request);

  pid_t pid_;
  UniqueFd process_;  // readable once the child has ended
  UniqueFd socket_;
};

// Starts the hardware side of this machine: LocalHardware over the files below `root`, confined to
// what it needs (see confine.h). Call first thing in main, before the first thread starts.
absl::StatusOr<std::unique_ptr<HardwareProcess>> StartHardwareProcess(const std::string& root);

}  // namespace gpuhost::cc_manager
