// SPDX-License-Identifier: Apache-2.0
#include "test/bench/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "libgpuhost/base/host_fs.h"

namespace gpuhost::bench {
namespace {

double Number(const std::string& path, std::string_view key) {
  const std::string text = HostFs().Read(path).value_or("");
  const size_t at = text.find(key);
  return at == std::string::npos ? 0 : std::atof(text.c_str() + at + key.size());
}

}  // namespace

Process::Process(const std::string& program, const std::vector<std::string>& arguments,
                 const std::vector<std::pair<std::string, std::string>>& environment,
                 const std::string& log)
    : pid_(::fork()) {
  if (pid_ != 0) return;
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  ::_exit(127);
}

Process::~Process() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::vector<pid_t> Process::pids() const {
  std::vector<pid_t> all{pid_};
  const std::string path = fmt::format("/proc/{}/task/{}/children", pid_, pid_);
  const std::string children = HostFs().Read(path).value_or("");
  for (const char* at = children.c_str(); *at != '\0';) {
    char* end = nullptr;
    const long pid = std::strtol(at, &end, 10);
    if (end == at) break;
    all.push_back(static_cast<pid_t>(pid));
    at = end + 1;
  }
  return all;
}

double StatusOf(pid_t pid, std::string_view key) {
  return Number(fmt::format("/proc/{}/status", pid), key);
}

double SleepsOf(pid_t pid) {
  const HostFs fs;
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  double sleeps = 0;
  for (const std::string& task : fs.List(tasks).value_or(std::vector<std::string>())) {
    sleeps += Number(fmt::format("{}/{}/status", tasks, task), "\nvoluntary_ctxt_switches:");
  }
  return sleeps;
}

bool Becomes(const std::function<bool()>& condition) {
  for (int i = 0; i < 30000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace gpuhost::bench
