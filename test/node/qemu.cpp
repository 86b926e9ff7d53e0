// SPDX-License-Identifier: Apache-2.0
#include "test/node/qemu.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "libgpuhost/base/status.h"

namespace gpuhost::node {
namespace {

constexpr const char* kProgram = "qemu-system-x86_64";

std::string KernelCommandLine(const Options& options, const Wiring& wiring) {
  // no_timer_check: a machine that is busy gives the emulated timer too little time to prove
  // itself.
  std::string line = "console=ttyS0 panic=-1 quiet no_timer_check";
  line += options.iommu ? " intel_iommu=on iommu=pt" : " intel_iommu=off";
  line += fmt::format(" gpuhost.run={}", wiring.run_directory);
  if (options.shell) line += " gpuhost.shell=1";
  if (options.network) line += " gpuhost.network=1";
  return line;
}

}  // namespace

std::vector<std::string> QemuArguments(const Options& options, const Wiring& wiring) {
  const std::string memory = fmt::format("{}M", options.memory_mib);
  std::vector<std::string> arguments{kProgram, "-nodefaults", "-no-user-config", "-no-reboot"};
  const auto add = [&](auto... words) { (arguments.emplace_back(std::move(words)), ...); };
  add("-display", "none");
  // One thread for both CPUs: two that access the same proxied device at once deadlock QEMU 7.2
  // (the one that waits for the device's lock keeps the lock that the other needs to go on).
  add("-accel", "tcg,thread=single,tb-size=256");
  add("-machine", "q35,memory-backend=mem", "-cpu", "max", "-smp", "2", "-m", memory);
  // Devices of other processes need to share the guest's memory.
  add("-object", "memory-backend-memfd,id=mem,size=" + memory);
  add("-kernel", options.kernel, "-initrd", options.initramfs);
  add("-append", KernelCommandLine(options, wiring));
  add("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap");
  // event_idx=off: each answer sends an interrupt, also after one that was lost; see init.
  add("-device", "virtio-9p-pci,fsdev=host,mount_tag=host,event_idx=off");
  if (options.iommu) add("-device", "intel-iommu,intremap=on,caching-mode=on");

  if (options.network)
    add("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=");
  add("-chardev", options.shell ? "stdio,id=console,signal=off"
                                : fmt::format("file,id=console,path={}", wiring.console));
  add("-serial", "chardev:console", "-device", "virtio-serial-pci");
  const std::pair<const char*, int> ports[] = {
      {"out", wiring.out}, {"err", wiring.err}, {"status", wiring.status}};
  int number = 0;
  for (const auto& [name, fd] : ports) {
    add("-chardev", fmt::format("socket,id={},fd={}", name, fd));
    add("-device", fmt::format("virtserialport,nr={},chardev={}", ++number, name));
  }
  // A root port of its own gives each slot its own IOMMU group; functions of a slot share theirs.
  for (size_t i = 0; i < wiring.devices.size(); ++i) {
    add("-device", fmt::format("pcie-root-port,id=port{0},chassis={1},slot={1}", i, i + 1));
    const bool shared = i == 0 && options.foreign_member;
    for (size_t f = 0; f < wiring.devices[i].size(); ++f) {
      const bool first_of_many = f == 0 && (shared || wiring.devices[i].size() > 1);
      add("-device",
          fmt::format("x-pci-proxy-dev,id=device{0}.{1},bus=port{0},addr=0.{1},fd={2}{3}", i, f,
                      wiring.devices[i][f], first_of_many ? ",multifunction=on" : ""));
    }
    if (shared) add("-device", "virtio-rng-pci,bus=port0,addr=0.7");
  }
  return arguments;
}

absl::StatusOr<Qemu> Qemu::Start(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execvp(kProgram, argv.data());
    ::_exit(127);
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return ErrnoStatus(errno, "pidfd_open");
  return Qemu(pid, std::move(pidfd));
}

Qemu::Qemu(Qemu&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Qemu::~Qemu() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace gpuhost::node
