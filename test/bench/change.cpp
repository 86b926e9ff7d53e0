// SPDX-License-Identifier: Apache-2.0
//
// cc-manager beside a scripted API server:
//   change-bench CC-MANAGER           start, memory and rest, on a machine of files, natively
//   change-bench CC-MANAGER BOOT-MS   changes of mode in a virtual node whose GPUs boot that long
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <thread>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "test/apiserver/scripted_api_server.h"
#include "test/bench/process.h"
#include "test/bench/table.h"
#include "test/fake/machine.h"

namespace {

using namespace gpuhost;
using Steady = std::chrono::steady_clock;

constexpr const char* kNode = "n";
constexpr const char* kMode = "nvidia.com/cc.mode";
constexpr const char* kModeState = "nvidia.com/cc.mode.state";

double Since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

// The API server, and how to find it for a program of its own.
class Cluster {
 public:
  explicit Cluster(const std::string& mode) {
    server.AddNode(kNode, {{kMode, mode}});
    const kube::Endpoint admin = server.admin();
    files_.File("/ca.pem", admin.ca_pem);
    files_.File("/config", fmt::format(R"({{
      "apiVersion": "v1", "kind": "Config", "current-context": "bench",
      "contexts": [{{"name": "bench", "context": {{"cluster": "bench", "user": "bench"}}}}],
      "clusters": [{{"name": "bench",
                     "cluster": {{"server": "{}", "certificate-authority": "ca.pem"}}}}],
      "users": [{{"name": "bench", "user": {{"token": "{}"}}}}]}})",
                                       admin.server, admin.token));
  }

  std::vector<std::pair<std::string, std::string>> environment() const {
    return {{"NODE_NAME", kNode}, {"KUBECONFIG", files_.Of("/config").string()}};
  }
  std::string log() const { return files_.Of("/log").string(); }
  bool AwaitState(const std::string& mode) const {
    return bench::Becomes([&] { return server.LabelsOf(kNode)[kModeState] == mode; });
  }
  void PrintLog() const { fmt::print("{}", files_.Content("/log")); }

  apiserver::ScriptedApiServer server;

 private:
  fake::TempRoot files_;
};

// GPUs that have booted with confidential computing off and are used by virtual machines: what
// their registers and configuration say, as files. There is no firmware in files, so nobody may
// have cause to ask it.
void WriteDown(fake::Machine& machine) {
  for (size_t i = 0; i < machine.size(); ++i) {
    const std::string path = "/sys/bus/pci/devices/" + fake::Machine::BdfOf(i);
    std::string config, registers;
    for (uint32_t offset = 0; offset < 256; ++offset) {
      config += static_cast<char>(machine.gpu(i).ReadConfig(offset, 1));
    }
    registers.resize(16 << 20);
    for (uint32_t offset = 0; offset < registers.size(); offset += 4) {
      const uint32_t value = machine.gpu(i).ReadBar0(offset);
      std::copy_n(reinterpret_cast<const char*>(&value), 4, registers.data() + offset);
    }
    machine.root.File(path + "/config", config);
    machine.root.File(path + "/resource0", registers);
    machine.HoldOpen(i, 100 + static_cast<int>(i), "qemu");
  }
}

void MeasureRest(bench::Table& table, const bench::Process& daemon) {
  double largest = 0, own = 0;
  for (const pid_t pid : daemon.pids()) {
    largest = std::max(largest, bench::StatusOf(pid, "VmRSS:") / 1024);
    own += bench::StatusOf(pid, "RssAnon:") / 1024;
  }
  table.Row("resident, the larger of its two processes", 16, largest, "MiB");
  table.Row("anonymous, both processes", 4, own, "MiB");
  const auto sleeps = [&] {
    double sum = 0;
    for (const pid_t pid : daemon.pids()) sum += bench::SleepsOf(pid);
    return sum;
  };
  const double before = sleeps();
  std::this_thread::sleep_for(std::chrono::seconds(5));
  table.Row("wake-ups in 5 s of rest", 0, sleeps() - before, "");
}

int MeasureNatively(const std::string& program) {
  fake::Machine machine(8);
  WriteDown(machine);
  const Cluster cluster("off");
  bench::Table table;
  table.Heading("cc-manager, natively, 8 GPUs in use");
  const auto start = Steady::now();
  const bench::Process daemon(program, {"--root", machine.root.path()}, cluster.environment(),
                              cluster.log());
  if (!bench::Becomes([&] { return !cluster.server.patches().empty(); })) {
    cluster.PrintLog();
    table.Failed("start to first label patch", "none came");
    return table.exit_status();
  }
  table.Row("start to first label patch", 100, Since(start) * 1000, "ms");
  if (!cluster.AwaitState("off")) table.Failed("first pass", "the label never said off");
  std::this_thread::sleep_for(
      std::chrono::seconds(11));  // the limit for connecting has run out, too
  MeasureRest(table, daemon);
  return table.exit_status();
}

int MeasureChanges(const std::string& program, double boot_seconds) {
  Cluster cluster("off");
  bench::Table table;
  table.Heading(
      fmt::format("label to state label, 8 GPUs, boot {:.0f} ms, best of 3", boot_seconds * 1000));
  const bench::Process daemon(program, {}, cluster.environment(), cluster.log());
  constexpr std::array<const char*, 3> kModes{"on", "devtools", "off"};
  std::map<std::string, double> best;
  size_t most_patches = 0;
  if (!cluster.AwaitState("off")) table.Failed("first pass", "the label never said off");
  for (size_t i = 0; i < 3 * kModes.size(); ++i) {
    const std::string mode = kModes.at(i % kModes.size());
    const size_t patches = cluster.server.patches().size();
    const auto start = Steady::now();
    cluster.server.SetLabels(kNode, {{kMode, mode}});
    if (!cluster.AwaitState(mode)) {
      cluster.PrintLog();
      table.Failed(mode, "the state label never said so");
      return table.exit_status();
    }
    const double took = Since(start);
    best[mode] = best.contains(mode) ? std::min(best[mode], took) : took;
    most_patches = std::max(most_patches, cluster.server.patches().size() - patches);
  }
  for (const char* mode : kModes) table.Row(mode, boot_seconds + 0.6, best[mode], "s");
  table.Row("patches of a change, the most", 4, static_cast<double>(most_patches), "");
  return table.exit_status();
}

}  // namespace

int main(int argc, char** argv) {
  const auto boot = argc == 3 ? ParseDecimal(argv[2]) : std::optional<uint64_t>();
  if (argc == 2) return MeasureNatively(argv[1]);
  if (boot) return MeasureChanges(argv[1], static_cast<double>(*boot) / 1000);
  fmt::print(stderr, "usage: change-bench CC-MANAGER [BOOT-MS]\n");
  return 2;
}
