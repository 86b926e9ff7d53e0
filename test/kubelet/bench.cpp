// SPDX-License-Identifier: Apache-2.0
//
// What ./dev bench plugin runs: the plugin's program beside a kubelet stand-in, on fake trees.
// Every number has a budget; one that is exceeded is a failure.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "test/fake/fake_kernel.h"
#include "test/kubelet/stand_in.h"
#include "test/kubelet/uevents.h"

namespace {

using namespace gpuhost;
using Steady = std::chrono::steady_clock;

constexpr Duration kGenerous = std::chrono::seconds(30);
const std::string kPgpu = "nvidia.com/pgpu";

int exceeded = 0;

void Print(const char* what, double value, double budget, const char* unit) {
  const bool fine = value <= budget;
  exceeded += !fine;
  fmt::print("  {:<48} {:8.2f} {} (budget {}){}\n", what, value, unit, budget,
             fine ? "" : "  EXCEEDED");
}

double Since(Steady::time_point start) {
  return std::chrono::duration<double, std::milli>(Steady::now() - start).count();
}

// 99 of 100 calls take no longer, in milliseconds.
template <typename Call>
double Slowest99(int count, Call call) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) {
    const auto start = Steady::now();
    if (!call()) return 1e9;
    times.push_back(Since(start));
  }
  std::ranges::sort(times);
  return times[times.size() * 99 / 100];
}

// The program beside a kubelet, on a tree of its own.
class Node {
 public:
  explicit Node(const char* program) : program_(program) {}
  ~Node() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  // A device that is bound, behind a root port that it shares with its three neighbours.
  void Add(int number, uint16_t device, uint32_t class_code) {
    const std::string bdf = fmt::format("0000:{:02x}:00.0", number);
    kernel_.Add({.bdf = bdf,
                 .device = device,
                 .class_code = class_code,
                 .iommu_group = number,
                 .driver = "vfio-pci"});
    const std::string flat = "/sys/bus/pci/devices/" + bdf;
    const std::string deep =
        fmt::format("/sys/devices/pci0000:00/0000:00:{:02x}.0/{}", number / 4, bdf);
    root_.File(deep + "/../numa_node", "");
    root_.File(flat + "/numa_node", fmt::format("{}\n", number / 8 % 2));
    std::filesystem::rename(root_.Of(flat), root_.Of(deep));
    root_.Link(flat, "../../.." + deep.substr(4));
  }
  void SetDriver(int number, bool bound) {
    const std::string link = fmt::format("/sys/bus/pci/devices/0000:{:02x}:00.0/driver", number);
    if (bound)
      root_.Link(link, "../../drivers/vfio-pci");
    else
      root_.Remove(link);
  }

  // A kubelet that starts, in place of an earlier one.
  bool StartKubelet() {
    kubelet_.reset();
    const std::string directory = root_.Of("/var/lib/kubelet/device-plugins").string();
    auto started = kubelet::StandIn::Start(directory, [](const std::string&) {});
    if (!started.ok()) {
      fmt::print(stderr, "{}\n", Text(started.status()));
      return false;
    }
    kubelet_ = *std::move(started);
    return true;
  }
  bool Start() {
    if (!StartKubelet()) return false;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execl(program_, program_, "--root", root_.path().c_str(), "--log-level", "error",
              "--metrics-address", "127.0.0.1:0", nullptr);
      ::_exit(127);
    }
    return true;
  }
  bool Registers() const {
    return kubelet_->WaitFor(kGenerous, [](const auto& all) { return all.contains(kPgpu); });
  }
  // Waits until that many GPUs are listed as healthy.
  bool Lists(long count) const {
    return kubelet_->WaitFor(kGenerous, [count](const kubelet::Resources& all) {
      const auto found = all.find(kPgpu);
      return found != all.end() &&
             std::ranges::count_if(found->second.devices, &kubelet::Device::healthy) == count;
    });
  }
  double MiB(std::string_view key) const {
    const std::string status = HostFs().Read(fmt::format("/proc/{}/status", pid_)).value_or("");
    const size_t at = status.find(key);
    return at == std::string::npos ? 1e9 : std::atof(status.c_str() + at + key.size()) / 1024;
  }
  kubelet::StandIn& kubelet() { return *kubelet_; }

 private:
  const char* program_;
  fake::TempRoot root_;
  fake::FakeKernel kernel_{root_};
  std::unique_ptr<kubelet::StandIn> kubelet_;
  pid_t pid_ = -1;
};

// A device that goes: one that comes back is listed only when it has stayed for a second.
void MeasureUevent(Node& node, const absl::StatusOr<kubelet::Uevents>& uevents) {
  const char* what = "uevent until the list says so, half of 9";
  if (!uevents.ok()) {
    fmt::print("  {}: not measured: {}\n", what, Text(uevents.status()));
    return;
  }
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) {
    node.SetDriver(3, false);
    const auto start = Steady::now();
    const bool gone = uevents->SendBind("0000:03:00.0").ok() && node.Lists(7);
    times.push_back(gone ? Since(start) : 1e9);
    node.SetDriver(3, true);
    if (!uevents->SendBind("0000:03:00.0").ok() || !node.Lists(8)) times.back() = 1e9;
  }
  std::ranges::sort(times);
  Print(what, times[times.size() / 2], 50, "ms");
}

void MeasureKubelet(Node& node) {
  std::vector<double> times;
  for (int i = 0; i < 9; ++i) {
    if (!node.StartKubelet()) return;
    const auto start = Steady::now();
    times.push_back(node.Registers() ? Since(start) : 1e9);
  }
  std::ranges::sort(times);
  Print("new kubelet.sock until it registers, half of 9", times[times.size() / 2], 50, "ms");
}

bool EightAndFour(const char* program, const absl::StatusOr<kubelet::Uevents>& uevents) {
  Node node(program);
  for (int number = 1; number <= 8; ++number) node.Add(number, 0x2330, 0x030200);
  for (int number = 9; number <= 12; ++number) node.Add(number, 0x22a3, 0x068000);
  const auto start = Steady::now();
  if (!node.Start()) return false;
  Print("program started until it registers", node.Registers() ? Since(start) : 1e9, 30, "ms");
  if (!node.Lists(8)) return false;
  Print("Allocate, 99 of 100",
        Slowest99(2000, [&] { return node.kubelet().Allocate(kPgpu, {"3"}).ok(); }), 1, "ms");
  MeasureUevent(node, uevents);
  MeasureKubelet(node);
  Print("resident memory", node.MiB("VmRSS:"), 18, "MiB");
  Print("anonymous memory", node.MiB("RssAnon:"), 5, "MiB");
  return true;
}

bool Sixteen(const char* program) {
  Node node(program);
  std::vector<std::string> all;
  for (int number = 0; number < 16; ++number) {
    node.Add(number, 0x2330, 0x030200);
    all.push_back(std::to_string(number));
  }
  if (!node.Start() || !node.Lists(16)) return false;
  Print("GetPreferredAllocation 8 of 16, 99 of 100",
        Slowest99(1000, [&] { return node.kubelet().Prefer(kPgpu, all, 8).ok(); }), 1, "ms");
  return true;
}

void Scan() {
  fake::TempRoot root;
  fake::FakeKernel large(root);
  for (int i = 0; i < 4000; ++i) {
    const std::string path = fmt::format("/sys/bus/pci/devices/{:04x}:{:02x}:{:02x}.{}", i / 2048,
                                         i / 256 % 8, i / 8 % 32, i % 8);
    root.File(path + "/vendor", i < 16 ? "0x10de\n" : "0x8086\n");
    root.File(path + "/device", "0x2330\n");
    root.File(path + "/class", "0x030200\n");
  }
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto begin = Steady::now();
    if (pci::ScanNvidia(large)->size() == 16) best = std::min(best, Since(begin));
  }
  Print("scan of 4,000 PCI functions, the best of 5", best, 20, "ms");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return fmt::print(stderr, "usage: plugin-bench PROGRAM\n"), 2;
  const auto uevents = kubelet::Uevents::Isolate();
  const bool listed = EightAndFour(argv[1], uevents) && Sixteen(argv[1]);
  if (!listed) fmt::print(stderr, "the GPUs were not listed\n");
  Scan();
  return exceeded == 0 && listed ? 0 : 1;
}
