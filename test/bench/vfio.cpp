// SPDX-License-Identifier: Apache-2.0
//
// How long a plan takes, and how much memory the daemon needs, on a machine of 8 GPUs, 4 NVSwitches
// and 200 other functions that exists as files only: vfio-bench VFIO-MANAGER
#include <algorithm>
#include <chrono>
#include <thread>

#include "libgpuhost/base/status.h"
#include "libgpuhost/vfio/plan.h"
#include "test/bench/process.h"
#include "test/bench/table.h"
#include "test/fake/fake_kernel.h"

namespace {

using namespace gpuhost;

void BuildMachine(fake::TempRoot& root, fake::FakeKernel& kernel) {
  for (int i = 0; i < 212; ++i) {
    const bool gpu = i < 8, nvswitch = !gpu && i < 12;
    kernel.Add({.bdf = fmt::format("0000:{:02x}:00.0", i),
                .device = static_cast<uint16_t>(gpu        ? 0x2330
                                                : nvswitch ? 0x22a3
                                                           : 0x1572),
                .class_code = gpu        ? 0x030200u
                              : nvswitch ? 0x068000u
                                         : 0x020000u,
                .vendor = static_cast<uint16_t>(gpu || nvswitch ? 0x10de : 0x8086),
                .iommu_group = i,
                .driver = gpu || nvswitch ? "" : "i40e"});
  }
  // As large as that of a distribution's kernel.
  std::string aliases;
  for (int i = 0; i < 30000; ++i) {
    aliases += fmt::format("alias pci:v00008086d{:08X}sv*sd*bc*sc*i* module_{}\n", i, i % 700);
  }
  aliases += "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n";
  root.File("/proc/sys/kernel/osrelease", "6.1.0\n");
  root.File("/lib/modules/6.1.0/modules.alias", aliases);
}

double MedianPlanMs(const HostFs& fs) {
  std::vector<double> times;
  for (int i = 0; i < 101; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto seen = vfio::Observe(fs);
    if (!seen.ok() || vfio::Plan(*seen, {.nvswitches = true}).size() != 12) return 1e9;
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count());
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

// As a pass leaves them, so that the daemon finds nothing to do.
void BindAll(fake::TempRoot& root, const HostFs& fs) {
  const auto seen = vfio::Observe(fs);
  if (!seen.ok()) return;
  for (const pci::Device& device : seen->devices) {
    root.Link(device.SysfsPath("driver"), "../../drivers/vfio-pci");
    root.File(device.SysfsPath("driver_override"), "vfio-pci\n");
    root.File(device.SysfsPath("d3cold_allowed"), "0\n");
  }
}

// Starts the daemon on the machine, and measures it when it has made its first pass.
void MeasureDaemon(bench::Table& table, const char* program, const fake::TempRoot& root) {
  const bench::Process daemon(program, {"run", "--all", "--root", root.path()});
  if (!bench::Becomes([&] { return root.Exists("/run/nvidia/gpuhost/vfio-manager.json"); })) {
    table.Failed("daemon", "no status document came");
    return;
  }
  table.Row("daemon, resident", 6, bench::StatusOf(daemon.pid(), "VmRSS:") / 1024, "MiB");
  table.Row("of these its own", bench::StatusOf(daemon.pid(), "RssAnon:") / 1024, "MiB");
  const double before = bench::SleepsOf(daemon.pid());
  std::this_thread::sleep_for(std::chrono::seconds(3));
  table.Row("wake-ups in 3 s of quiet", 0, bench::SleepsOf(daemon.pid()) - before, "");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  BuildMachine(root, kernel);
  bench::Table table;
  table.Heading("binding, natively: 8 GPUs, 4 NVSwitches, 200 others");
  table.Row("observe and plan, median", 10, MedianPlanMs(kernel), "ms");
  BindAll(root, kernel);
  MeasureDaemon(table, argv[1], root);
  return table.exit_status();
}
