// SPDX-License-Identifier: Apache-2.0
//
// What ./dev bench plugin runs: the plugin's program beside a kubelet stand-in, on a fake tree of
// eight GPUs and four switches. Every number has a budget; one that is exceeded is a failure.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/scan.h"
#include "test/fake/fake_kernel.h"
#include "test/kubelet/stand_in.h"

namespace {

using namespace gpuhost;
using Steady = std::chrono::steady_clock;

constexpr Duration kGenerous = std::chrono::seconds(30);

int exceeded = 0;

void Print(const char* what, double value, double budget, const char* unit) {
  const bool fine = value <= budget;
  exceeded += !fine;
  fmt::print("  {:<44} {:8.2f} {} (budget {}){}\n", what, value, unit, budget,
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

double MiB(pid_t pid, std::string_view key) {
  const std::string status = HostFs().Read(fmt::format("/proc/{}/status", pid)).value_or("");
  const size_t at = status.find(key);
  return at == std::string::npos ? 1e9 : std::atof(status.c_str() + at + key.size()) / 1024;
}

void AddDevices(fake::FakeKernel& kernel, int first, int count, uint16_t device,
                uint32_t class_code) {
  for (int i = first; i < first + count; ++i) {
    kernel.Add({.bdf = fmt::format("0000:{:02x}:00.0", i),
                .device = device,
                .class_code = class_code,
                .iommu_group = i,
                .driver = "vfio-pci"});
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return fmt::print(stderr, "usage: plugin-bench PROGRAM\n"), 2;
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  AddDevices(kernel, 1, 8, 0x2330, 0x030200);
  AddDevices(kernel, 9, 4, 0x22a3, 0x068000);
  const std::string directory = root.Of("/var/lib/kubelet/device-plugins").string();
  auto kubelet = kubelet::StandIn::Start(directory, [](const std::string&) {});
  if (!kubelet.ok()) return fmt::print(stderr, "{}\n", Text(kubelet.status())), 1;

  const auto start = Steady::now();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(argv[1], argv[1], "--root", root.path().c_str(), "--log-level", "error", nullptr);
    ::_exit(127);
  }
  const std::string pgpu = "nvidia.com/pgpu";
  const bool registered = (*kubelet)->WaitFor(
      kGenerous, [&](const kubelet::Resources& resources) { return resources.contains(pgpu); });
  Print("program started until it registers", registered ? Since(start) : 1e9, 30, "ms");
  const bool listed = (*kubelet)->WaitFor(kGenerous, [&](const kubelet::Resources& resources) {
    const auto found = resources.find(pgpu);
    return found != resources.end() && found->second.devices.size() == 8;
  });
  if (!listed) fmt::print(stderr, "eight GPUs were not listed\n");
  Print("Allocate, 99 of 100",
        Slowest99(2000, [&] { return (*kubelet)->Allocate(pgpu, {"3"}).ok(); }), 1, "ms");
  const std::vector<std::string> all{"1", "2", "3", "4", "5", "6", "7", "8"};
  Print("GetPreferredAllocation of 4, 99 of 100",
        Slowest99(2000, [&] { return (*kubelet)->Prefer(pgpu, all, 4).ok(); }), 1, "ms");
  Print("resident memory", MiB(pid, "VmRSS:"), 18, "MiB");
  Print("anonymous memory", MiB(pid, "RssAnon:"), 5, "MiB");
  ::kill(pid, SIGTERM);
  ::waitpid(pid, nullptr, 0);

  fake::TempRoot large_root;
  fake::FakeKernel large(large_root);
  for (int i = 0; i < 4000; ++i) {
    const std::string path = fmt::format("/sys/bus/pci/devices/{:04x}:{:02x}:{:02x}.{}", i / 2048,
                                         i / 256 % 8, i / 8 % 32, i % 8);
    large_root.File(path + "/vendor", i < 16 ? "0x10de\n" : "0x8086\n");
    large_root.File(path + "/device", "0x2330\n");
    large_root.File(path + "/class", "0x030200\n");
  }
  Print(
      "scan of 4,000 PCI functions, the best of 5",
      [&] {
        double best = 1e9;
        for (int i = 0; i < 5; ++i) {
          const auto begin = Steady::now();
          if (pci::ScanNvidia(large)->size() == 16) best = std::min(best, Since(begin));
        }
        return best;
      }(),
      20, "ms");
  return exceeded == 0 && listed ? 0 : 1;
}
