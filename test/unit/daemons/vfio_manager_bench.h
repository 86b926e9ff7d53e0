// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "daemons/common/service/instance.h"
#include "daemons/common/service/status_document.h"
#include "daemons/vfio-manager/manager.h"
#include "daemons/vfio-manager/run.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"

namespace gpuhost::vfio_manager {

struct Bench {
  absl::StatusOr<std::vector<UnitOutcome>> Apply(const Options& options) {
    const auto request = MakeRequest(kernel, options);
    if (!request.ok()) return request.status();
    return vfio_manager::Apply(deps, *request, {}, options.dry_run);
  }
  int Run(const Options& options) { return RunOnce(deps, options); }
  std::string DriverOf(const std::string& bdf) const {
    return kernel.LinkName("/sys/bus/pci/devices/" + bdf + "/driver").value_or("");
  }
  void HoldNvidia(const std::string& bdf) { kernel.HoldNvidia(9, "python3", bdf); }
  void PublishMode(const std::string& phase, const std::string& mode, const std::string& bdf) {
    REQUIRE(service::Publish(
                kernel,
                {.daemon = "cc-manager", .phase = phase, .target = mode, .devices = {{.bdf = bdf}}})
                .ok());
  }

  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  fake::FakeClock clock;
  Deps deps{kernel, clock, [](const std::string&) { return absl::UnknownError("no module"); }};
};

// Another process that is cc-manager as long as it lives.
class CcManager {
 public:
  explicit CcManager(HostFs& fs) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto instance = service::Instance::Claim(fs, "cc-manager");
      if (::write(ends[1], "y", instance.ok() ? 1 : 0) == 1) ::pause();
      ::_exit(0);
    }
    char done = 0;
    REQUIRE(::read(ends[0], &done, 1) == 1);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~CcManager() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

inline const Options kBindAll{.verb = Verb::kBind, .all = true};
inline const Options kUnbindAll{.verb = Verb::kUnbind, .all = true};
inline const Options kRunAll{.verb = Verb::kRun, .all = true};
inline const Options kUninstall{.verb = Verb::kUninstall, .all = true};

}  // namespace gpuhost::vfio_manager
