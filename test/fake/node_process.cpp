// SPDX-License-Identifier: Apache-2.0
#include "test/fake/node_process.h"

#include <fmt/format.h>

namespace gpuhost::fake {

void AddInit(TempRoot& root, const std::string& cgroup) {
  AddProcess(root, {.pid = 1,
                    .comm = "systemd",
                    .exe = "/usr/lib/systemd/systemd",
                    .arguments = {"/sbin/init"},
                    .cgroup = cgroup});
}

void AddProcess(TempRoot& root, const NodeProcess& process) {
  const std::string base = fmt::format("/proc/{}/", process.pid);
  root.File(base + "comm", process.comm + "\n");
  root.File(base + "status",
            fmt::format("Name:\t{}\nState:\tS (sleeping)\nUid:\t{}\n", process.comm, process.uids));
  root.File(base + "cgroup", process.cgroup + "\n");
  root.Link(base + "exe", process.exe);
  root.Link(base + "ns/mnt", fmt::format("mnt:[{}]", process.mnt));
  root.Link(base + "ns/pid", fmt::format("pid:[{}]", process.pid_namespace));
  root.Link(base + "ns/user", fmt::format("user:[{}]", process.user));
  std::string words;
  for (const std::string& word : process.arguments) words += word + '\0';
  root.File(base + "cmdline", words);
}

}  // namespace gpuhost::fake
