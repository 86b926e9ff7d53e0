// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemons/kata-manager/manager.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"
#include "test/fake/node_process.h"

namespace gpuhost::kata_manager {

// The programs of containerd on this machine: Debian's, and those that were built for the cluster
// tests. They are only asked what they make of files.
std::vector<std::string> RealContainerds();
// What one of them makes of a file in the real file system, and of its imports.
absl::StatusOr<std::string> RealDump(const std::string& program, const std::string& main);

// systemd as far as it is needed: one unit of containerd.
struct FakeServices : Services {
  absl::StatusOr<Unit> Look(const std::string& name) override;
  absl::Status Restart(const std::string& name, Duration limit) override;

  // The unit starts anew, whoever wants it to, and is watched for a while.
  void Start();

  std::string name = "containerd.service";
  Unit unit{.active = true,
            .kill_mode = "process",
            .active_since = 1000,
            .restarts = 0,
            .state = "",  // empty: as `active` says
            .main_pid = 900,
            .command = {"/usr/bin/containerd"}};
  std::map<std::string, Unit> others;
  int count = 0;                      // of restarts asked for
  std::vector<absl::Status> answers;  // of the next ones; then OK
  std::function<void()> started;      // called when the unit has started anew
  bool crash_loop = false;            // it is started anew all the time
  int64_t now = 100'000;              // seconds since 1970
};

// A node with a real program of containerd, which runs as process 900 as far as its /proc tells,
// and an installed Kata.
class KataNode {
 public:
  explicit KataNode(std::string program = "/usr/bin/containerd");

  Deps deps();
  Config config(const std::string& yaml);
  Report Apply(const std::string& yaml);
  // containerd runs with this command line.
  void RunWith(const std::vector<std::string>& command);
  // A shim of Kata's with this sandbox.
  void AddShim(int pid, const std::string& sandbox, const std::string& uids = "0\t0\t0\t0");
  // Containerd's files as its program understands them in their place.
  absl::StatusOr<Flat> Dump();
  // The handlers in them.
  std::set<std::string> Handlers();
  std::string Content(const std::string& path) { return root.Content(path); }

  fake::TempRoot root;
  fake::FakeClock clock;
  fake::FakeKernel kernel{root};
  FakeServices services;
  bool socket_answers = true;
  // The handlers that the running containerd has: those of its files when it last started, but for
  // the one that it does not like.
  rpc::RuntimeHandlers running = std::set<std::string>{"runc"};
  std::string disliked;
  bool tells = true;                              // of them
  rpc::RuntimeVersion answers{"containerd", ""};  // no version: that of its program
  bool stopping = false;
  Options options;
  std::vector<std::string> loaded;  // modules
  const std::string program;
};

inline constexpr const char* kMain = "/etc/containerd/config.toml";
inline constexpr const char* kOwn = "/etc/containerd/conf.d/gpuhost-kata.toml";
inline constexpr const char* kVendor =
    "/opt/kata/share/defaults/kata-containers/configuration.toml";

// One class on the installed Kata.
inline const std::string kOneClass =
    std::string("runtimeClasses:\n- name: kata-x\n  configPath: ") + kVendor + "\n";

}  // namespace gpuhost::kata_manager
