// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/socket.h>

#include <fstream>
#include <vector>

#include "daemons/common/service/signals.h"
#include "libgpuhost/base/status.h"
#include "test/node/machine.h"
#include "test/node/options.h"
#include "test/node/qemu.h"
#include "test/node/run_directory.h"
#include "test/node/stream.h"

namespace {

using namespace gpuhost;

constexpr int kViolated = 3, kTimedOut = 124, kNoResult = 125, kStopped = 130;

struct Pair {
  Pair() {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return;
    ours.Reset(ends[0]);
    theirs.Reset(ends[1]);
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  }
  UniqueFd ours, theirs;
};

void PrintConsole(const std::string& path, size_t last_lines) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  const size_t first = lines.size() > last_lines ? lines.size() - last_lines : 0;
  for (size_t i = first; i < lines.size(); ++i) fmt::print(stderr, "  console: {}\n", lines[i]);
}

int ExitStatus(const node::Ending& ending, const node::Options& options,
               const node::RunDirectory& run) {
  switch (ending.kind) {
    case node::Ending::Kind::kStopped:
      return kStopped;
    case node::Ending::Kind::kTimedOut:
      fmt::print(stderr, "virtual-node: gave up after {:.0f} s, waiting for: {}\n",
                 Seconds(options.limit), fmt::join(options.command, " "));
      PrintConsole(run.console(), 20);
      return kTimedOut;
    case node::Ending::Kind::kEnded:
      break;
  }
  if (ending.status) return *ending.status;
  if (options.command.empty()) return 0;
  fmt::print(stderr, "virtual-node: the node ended before the command did\n");
  PrintConsole(run.console(), 40);
  return kNoResult;
}

int Run(const node::Options& options) {
  const auto stop = service::StopSignal::Block();
  if (!stop.ok()) return kNoResult;
  const node::RunDirectory run(options);
  Pair out, err, status;
  node::Devices devices(options);
  auto qemu = node::Qemu::Start(node::QemuArguments(options, {.devices = devices.sockets(),
                                                              .out = out.theirs.get(),
                                                              .err = err.theirs.get(),
                                                              .status = status.theirs.get(),
                                                              .run_directory = run.path(),
                                                              .console = run.console()}));
  devices.CloseSockets();
  for (Pair* pair : {&out, &err, &status}) pair->theirs.Reset();
  if (!qemu.ok()) {
    fmt::print(stderr, "virtual-node: {}\n", Text(qemu.status()));
    return kNoResult;
  }
  SystemClock clock;
  const node::Ending ending =
      node::Stream({out.ours.get(), err.ours.get(), status.ours.get(), qemu->fd(), stop->fd()},
                   clock, options.limit);
  if (options.verbose && !options.shell) PrintConsole(run.console(), SIZE_MAX);
  const int exit_status = ExitStatus(ending, options, run);
  const auto violations = devices.Violations();
  for (const std::string& line : violations) fmt::print(stderr, "virtual-node: {}\n", line);
  return exit_status == 0 && !violations.empty() ? kViolated : exit_status;
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = node::ParseOptions(argc, argv);
  if (const int* exit_status = std::get_if<int>(&parsed)) return *exit_status;
  return Run(std::get<node::Options>(parsed));
}
