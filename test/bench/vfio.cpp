// SPDX-License-Identifier: Apache-2.0
//
// How long a plan takes, and how much memory the daemon needs, on a machine of 8 GPUs, 4 NVSwitches
// and 200 other functions that exists as files only: vfio-bench VFIO-MANAGER
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/vfio/plan.h"
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
    if (!seen.ok() || vfio::Plan(*seen, {.nvswitches = true}).size() != 12) return -1;
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count());
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

// As a pass leaves them, so that the daemon finds nothing to do.
void BindAll(fake::TempRoot& root, const HostFs& fs) {
  for (const pci::Device& device : vfio::Observe(fs)->devices) {
    root.Link(device.SysfsPath("driver"), "../../drivers/vfio-pci");
    root.File(device.SysfsPath("driver_override"), "vfio-pci\n");
    root.File(device.SysfsPath("d3cold_allowed"), "0\n");
  }
}

// "VmRSS:      5120 kB" of /proc/<pid>/status; 0 when there is no such line.
uint64_t KiB(pid_t pid, std::string_view key) {
  const std::string text = HostFs().Read(fmt::format("/proc/{}/status", pid)).value_or("");
  const size_t at = text.find(key);
  if (at == std::string::npos) return 0;
  const size_t digits = text.find_first_of("0123456789", at);
  return ParseDecimal(text.substr(digits, text.find(' ', digits) - digits)).value_or(0);
}

// Starts the daemon on the machine, and measures it when it has made its first pass.
bool MeasureDaemon(const char* program, const fake::TempRoot& root) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::string path = root.path();
    ::close(STDERR_FILENO);
    ::open("/dev/null", O_WRONLY);
    ::execl(program, "vfio-manager", "run", "--all", "--root", path.c_str(), nullptr);
    ::_exit(127);
  }
  const auto published = [&] { return root.Exists("/run/nvidia/gpuhost/vfio-manager.json"); };
  for (int i = 0; i < 300 && !published(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  if (!published()) return false;
  fmt::print("  daemon, resident                {:7} KiB, of these its own {} KiB\n",
             KiB(pid, "VmRSS:"), KiB(pid, "RssAnon:"));
  const uint64_t before = KiB(pid, "voluntary_ctxt_switches:");
  std::this_thread::sleep_for(std::chrono::seconds(3));
  fmt::print("  wake-ups in 3 s of quiet        {:7}\n",
             KiB(pid, "voluntary_ctxt_switches:") - before);
  ::kill(pid, SIGTERM);
  return ::waitpid(pid, nullptr, 0) == pid;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  fake::TempRoot root;
  fake::FakeKernel kernel(root);
  BuildMachine(root, kernel);
  fmt::print("8 GPUs, 4 NVSwitches, 200 other functions, natively:\n");
  fmt::print("  observe and plan                {:7.2f} ms\n", MedianPlanMs(kernel));
  BindAll(root, kernel);
  return MeasureDaemon(argv[1], root) ? 0 : 1;
}
