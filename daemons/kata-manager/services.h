// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "libgpuhost/base/clock.h"

namespace gpuhost::kata_manager {

struct Unit {
  bool active = false;
  std::string kill_mode;     // "process": what it started outlives it
  int64_t active_since = 0;  // seconds since 1970
  uint32_t restarts = 0;     // by systemd itself, since it was started
  std::string state;         // of systemd: "active", "activating", "failed", "inactive"...
  int main_pid = 0;          // 0: none
  // What it is started with, its program first, as far as systemd itself knows: a word that still
  // has a '$' depends on a file with variables. Empty: it starts nothing.
  std::vector<std::string> command;
};

// The units of the node. systemd's, or a test's.
class Services {
 public:
  virtual ~Services() = default;
  // kNotFound when there is no such unit, kUnavailable when systemd cannot be asked.
  virtual absl::StatusOr<Unit> Look(const std::string& unit) = 0;
  // Restarts it and waits for the job's end. kUnavailable likewise, kFailedPrecondition with the
  // job's result, kDeadlineExceeded, kCancelled when this process is to end meanwhile.
  virtual absl::Status Restart(const std::string& unit, Duration limit) = 0;
};

// systemd over D-Bus: `address` like "unix:path=/run/systemd/private". Waits end when `stop_fd` is
// readable; -1: never for that reason.
// Source: org.freedesktop.systemd1(5).
std::unique_ptr<Services> SystemdServices(std::string address, int stop_fd);

// The words of a command with the variables that are known ("NAME=value"): "${NAME}" anywhere in a
// word, "$NAME" as a whole word. What is not known stays as it is. Source: systemd.service(5).
std::vector<std::string> WithVariables(const std::vector<std::string>& command,
                                       const std::vector<std::string>& variables);

}  // namespace gpuhost::kata_manager
