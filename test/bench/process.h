// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gpuhost::bench {

// A daemon that is measured. Ends with the object, by SIGTERM.
class Process {
 public:
  // `environment` is added to ours; what it says goes to `log`.
  Process(const std::string& program, const std::vector<std::string>& arguments,
          const std::vector<std::pair<std::string, std::string>>& environment = {},
          const std::string& log = "/dev/null");
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // It and its children.
  std::vector<pid_t> pids() const;

 private:
  pid_t pid_;
};

// A number of /proc/<pid>/status, like "VmRSS:" in KiB; 0 when there is none.
double StatusOf(pid_t pid, std::string_view key);
// How often the threads of a process have gone to sleep since it began.
double SleepsOf(pid_t pid);
// Looks once in a millisecond; whether it came true within half a minute.
bool Becomes(const std::function<bool()>& condition);

}  // namespace gpuhost::bench
