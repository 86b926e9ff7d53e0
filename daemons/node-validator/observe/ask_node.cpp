// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <sstream>

#include "daemons/common/node/process.h"
#include "daemons/common/rpc/runtime_handlers.h"
#include "daemons/common/rpc/runtime_version.h"
#include "daemons/node-validator/observe/kubelet_call.h"
#include "daemons/node-validator/observe/qemu_probe.h"
#include "daemons/node-validator/observe/questions.h"
#include "daemons/node-validator/observe/root_only.h"
#include "daemons/node-validator/observe/verity.h"
#include "libgpuhost/base/command.h"
#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/cc/observe.h"
#include "libgpuhost/pci/scan.h"

namespace gpuhost::node_validator {
namespace {

constexpr Duration kLimit = std::chrono::seconds(10);

absl::StatusOr<std::string> KernelLog() {
  constexpr int kReadAll = 3;  // SYSLOG_ACTION_READ_ALL: clears nothing
  std::string text(1 << 20, '\0');
  const int got = ::klogctl(kReadAll, text.data(), static_cast<int>(text.size()));
  if (got < 0) return ErrnoStatus(errno, "read the kernel's log");
  text.resize(static_cast<size_t>(got));
  constexpr auto kWords = std::to_array<std::string_view>(
      {"SEV", "SNP", "ccp ", "tdx", "IOMMU", "AMD-Vi", "DMAR", "vfio", "iommu"});
  std::string told;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool wanted = std::ranges::any_of(
        kWords, [&](std::string_view word) { return line.find(word) != std::string::npos; });
    if (wanted && told.size() < (64u << 10)) told += line + "\n";
  }
  return told;
}

absl::StatusOr<std::string> KvmVersion(const HostFs& fs) {
  GPUHOST_ASSIGN(const UniqueFd kvm, fs.Open("/dev/kvm", O_RDWR));
  const int version = ::ioctl(kvm.get(), KVM_GET_API_VERSION, 0);
  if (version < 0) return ErrnoStatus(errno, "ask /dev/kvm for its version");
  return fmt::format("{}", version);
}

absl::StatusOr<std::string> Opens(const HostFs& fs, const std::string& path) {
  GPUHOST_ASSIGN(const UniqueFd fd, fs.Open(path, O_RDWR | O_NONBLOCK));
  return std::string();
}

absl::StatusOr<std::string> FreeSpace(const HostFs& fs, const std::string& path) {
  struct statvfs space {};
  if (::statvfs(fs.Resolve(path).c_str(), &space) != 0) {
    return ErrnoStatus(errno, fmt::format("ask for the space at {}", path));
  }
  return fmt::format("{} {} {}", space.f_bavail * space.f_frsize, space.f_favail, space.f_files);
}

absl::StatusOr<std::string> Connects(const HostFs& fs, const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string whole = fs.Resolve(path);
  if (whole.size() >= sizeof address.sun_path) {
    return Error(absl::StatusCode::kInvalidArgument, "the path {} is too long for a socket", whole);
  }
  whole.copy(address.sun_path, whole.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoStatus(errno, fmt::format("connect to {}", path));
  }
  return std::string();
}

absl::StatusOr<std::string> Handlers(const std::string& socket) {
  GPUHOST_ASSIGN(const rpc::RuntimeHandlers handlers, rpc::AskRuntimeHandlers(socket, kLimit));
  return fmt::format("{}", fmt::join(handlers.value_or(std::set<std::string>()), "\n"));
}

absl::StatusOr<std::string> RuntimeVersion(const std::string& socket) {
  GPUHOST_ASSIGN(const rpc::RuntimeVersion found, rpc::AskRuntimeVersion(socket, kLimit));
  return fmt::format("{} {}", found.name, found.version);
}

absl::StatusOr<std::string> Peer(const HostFs& fs, const std::string& socket) {
  GPUHOST_ASSIGN(const node::Process found, node::PeerProcess(fs, socket));
  return fmt::format("{}", found.pid);
}

class Node : public Questions {
 public:
  Node(const Tree& tree, const gpu::Host& host) : tree_(tree), host_(host) {}

 private:
  absl::StatusOr<std::string> Find(Question question, const std::string& argument) override {
    switch (question) {
      case Question::kKernelLog:
        return KernelLog();
      case Question::kKvmVersion:
        return KvmVersion(host_.fs);
      case Question::kOpens:
        return Opens(host_.fs, argument);
      case Question::kFreeSpace:
        return FreeSpace(host_.fs, argument);
      case Question::kVersion:
        return Run(argument, {"containerd", "kubelet"}, {"--version"});
      case Question::kContainerdDump:
        return Dump(argument);
      case Question::kRuntimeVersion:
        return RuntimeVersion(host_.fs.Resolve(argument));
      case Question::kSocketPeer:
        return Peer(host_.fs, argument);
      case Question::kConnects:
        return Connects(host_.fs, argument);
      case Question::kPodResourcesGet:
        return AskPodResources(host_.fs.Resolve(argument), kLimit);
      case Question::kRuntimeHandlers:
        return Handlers(host_.fs.Resolve(argument));
      case Question::kImageHash:
        return ImageHashOf(argument);
      case Question::kQemu:
        if (const absl::Status may = MayRun(argument, {"qemu"}); !may.ok()) return may;
        return ProbeQemu(tree_, argument, kLimit);
      case Question::kGpuMode:
        return Mode(argument);
      case Question::kSuperuser:
        return ::geteuid() == 0 ? "yes" : "no";
    }
    return absl::InternalError("unknown question");
  }

  // A program of the node that root alone can change, with a name that begins with one of these:
  // what root has written into a configuration by mistake is not run with our arguments. Programs
  // of another root would run with this one's libraries.
  absl::Status MayRun(const std::string& program,
                      std::initializer_list<std::string_view> names) const {
    if (host_.fs.Resolve("/") != "/") {
      return absl::UnavailableError("a program of the host cannot be run from a container");
    }
    const std::string_view base = std::string_view(program).substr(program.rfind('/') + 1);
    const bool fits =
        std::ranges::any_of(names, [&](std::string_view name) { return base.starts_with(name); });
    if (!fits) {
      return Error(absl::StatusCode::kPermissionDenied, "{} is not run: its name is not {}...",
                   program, fmt::join(names, "... or "));
    }
    return Annotate(RootOnly(host_.fs, program), fmt::format("{} is not run", program));
  }

  absl::StatusOr<std::string> Run(const std::string& program,
                                  std::initializer_list<std::string_view> names,
                                  std::vector<std::string> arguments) const {
    GPUHOST_TRY(MayRun(program, names));
    return OutputOf(kLimit,
                    {.path = program, .arguments = std::move(arguments), .environment = {}});
  }

  // Argument: "PROGRAM CONFIG".
  absl::StatusOr<std::string> Dump(const std::string& argument) const {
    const size_t blank = argument.find(' ');
    if (blank == std::string::npos) return absl::InvalidArgumentError("no configuration file");
    return Run(argument.substr(0, blank), {"containerd"},
               {"-c", argument.substr(blank + 1), "config", "dump"});
  }

  absl::StatusOr<std::string> ImageHashOf(const std::string& argument) const {
    std::string image = argument;
    std::array<std::string, 4> words;  // behind the path, which may have blanks
    for (size_t i = words.size(); i > 0; --i) {
      const size_t blank = image.rfind(' ');
      if (blank == std::string::npos) return absl::InvalidArgumentError("no verity parameters");
      words.at(i - 1) = image.substr(blank + 1);
      image.resize(blank);
    }
    const auto number = [](const std::string& word) { return ParseDecimal(word).value_or(0); };
    GPUHOST_ASSIGN(const ImageHash found, HashImage(tree_, image,
                                                    {.salt = words[0],
                                                     .data_blocks = number(words[1]),
                                                     .data_block_size = number(words[2]),
                                                     .hash_block_size = number(words[3])}));
    return found.differs.empty() ? found.root : found.root + "\n" + found.differs;
  }

  absl::StatusOr<std::string> Mode(const std::string& address) const {
    GPUHOST_ASSIGN(const pci::Bdf bdf, pci::Bdf::Parse(address));
    GPUHOST_ASSIGN(const pci::Device device, pci::ReadDevice(host_.fs, bdf));
    const cc::Observation seen = cc::Observe(host_, device);
    if (!seen.state.ok()) return seen.state.status();
    return std::string(cc::ToString(*seen.state));
  }

  const Tree& tree_;
  const gpu::Host host_;
};

}  // namespace

std::unique_ptr<Questions> AskNode(const Tree& tree, const gpu::Host& host) {
  return std::make_unique<Node>(tree, host);
}

}  // namespace gpuhost::node_validator
