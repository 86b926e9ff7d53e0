// SPDX-License-Identifier: Apache-2.0
#include "daemons/node-validator/operator/component.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"

using namespace gpuhost;
using node_validator::ComponentOptions;

namespace {

constexpr const char* kDirectory = "/run/nvidia/validations";
constexpr const char* kContainerReady = "/run/nvidia/validations/.cc-manager-ctr-ready";

// A clock in whose sleep something happens.
class EventfulClock : public fake::FakeClock {
 public:
  std::function<void(int)> on_sleep = [](int) {};
  int sleeps = 0;
  void SleepFor(Duration duration) override {
    FakeClock::SleepFor(duration);
    on_sleep(++sleeps);
  }
};

struct World {
  fake::TempRoot root;
  fake::FakeKernel kernel{root};
  EventfulClock clock;
  absl::StatusOr<std::map<std::string, std::string>> labels = std::map<std::string, std::string>();
  std::vector<std::string> told;

  absl::Status Run(ComponentOptions options) {
    if (options.node_name.empty()) options.node_name = "gpu-7";
    node_validator::ComponentWorld world{kernel, kernel, clock, [this] { return labels; },
                                         [this](const std::string& text) { told.push_back(text); }};
    return node_validator::ValidateComponent(world, options);
  }
  bool Has(const std::string& name) { return root.Exists(fmt::format("{}/{}", kDirectory, name)); }
  void Put(const std::string& name) { root.File(fmt::format("{}/{}", kDirectory, name), ""); }
};

}  // namespace

TEST_CASE("cc-manager: ready where the node is not capable, without any waiting") {
  World world;
  world.Put("cc-manager-ready");
  CHECK(world.Run({.component = "cc-manager", .wait = true}).ok());
  CHECK(world.Has("cc-manager-ready"));
  CHECK(world.clock.sleeps == 0);
}

TEST_CASE("cc-manager: an older file is gone before anything is asked") {
  World world;
  world.Put("cc-manager-ready");
  world.labels = absl::UnavailableError("no API server");
  CHECK(absl::IsUnavailable(world.Run({.component = "cc-manager"})));
  CHECK(!world.Has("cc-manager-ready"));
}

TEST_CASE("cc-manager: waits for its first pass, or says that it is not over") {
  World world;
  world.labels = std::map<std::string, std::string>{{"nvidia.com/cc.capable", "true"}};
  const absl::Status missing = world.Run({.component = "cc-manager"});
  CHECK(absl::IsNotFound(missing));
  CHECK(Text(missing).find(kContainerReady) != std::string::npos);
  CHECK(!world.Has("cc-manager-ready"));
  CHECK(world.clock.sleeps == 0);

  world.clock.on_sleep = [&](int count) {
    if (count == 3) world.root.File(kContainerReady, "");
  };
  CHECK(world.Run({.component = "cc-manager", .wait = true, .interval = std::chrono::seconds(7)})
            .ok());
  CHECK(world.clock.sleeps == 3);
  CHECK(world.Has("cc-manager-ready"));
}

TEST_CASE("vfio-pci: the kind of work is written always, readiness only when all GPUs are bound") {
  World world;
  world.kernel.Add({.bdf = "0000:41:00.0", .driver = "vfio-pci"});
  world.kernel.Add({.bdf = "0000:42:00.0", .iommu_group = 2, .driver = "nvidia"});
  world.Put("vfio-pci-ready");
  const absl::Status unbound = world.Run({.component = "vfio-pci", .wait = true});
  CHECK(absl::IsFailedPrecondition(unbound));
  CHECK(Text(unbound).find("0000:42:00.0") != std::string::npos);
  CHECK(!world.Has("vfio-pci-ready"));
  CHECK(world.clock.sleeps == 0);
  CHECK(world.root.Content("/run/nvidia/validations/workload-type") == "vm-passthrough\n");
}

TEST_CASE("vfio-pci: variant drivers count, switches and other functions do not") {
  World world;
  world.kernel.Add({.bdf = "0000:41:00.0", .driver = "nvgrace_gpu_vfio_pci"});
  world.kernel.Add(
      {.bdf = "0000:05:00.0", .device = 0x22a3, .class_code = 0x068000, .iommu_group = 2});
  world.kernel.Add({.bdf = "0000:41:00.1", .class_code = 0x040300, .driver = "snd_hda_intel"});
  CHECK(world.Run({.component = "vfio-pci"}).ok());
  CHECK(world.Has("vfio-pci-ready"));
}

TEST_CASE("vfio-pci: a node for containers needs no VFIO, and an older file stays") {
  World world;
  world.Put("vfio-pci-ready");
  world.labels =
      std::map<std::string, std::string>{{"nvidia.com/gpu.workload.config", "container"}};
  CHECK(world.Run({.component = "vfio-pci"}).ok());
  CHECK(world.Has("vfio-pci-ready"));
  CHECK(world.root.Content("/run/nvidia/validations/workload-type") == "container\n");

  // A word that is none is told of, and the default taken.
  world.labels = std::map<std::string, std::string>{{"nvidia.com/gpu.workload.config", "kata"}};
  CHECK(world.Run({.component = "vfio-pci", .default_workload = "container"}).ok());
  CHECK(world.root.Content("/run/nvidia/validations/workload-type") == "container\n");
  CHECK(world.told.front().find("needed") != std::string::npos);
  CHECK(world.told[1].find("'kata'") != std::string::npos);
}

TEST_CASE("vGPU components are skipped where there are no vGPUs, and refused where there are") {
  World world;
  for (const char* component : {"vgpu-manager", "vgpu-devices"}) {
    CHECK(world.Run({.component = component}).ok());
    CHECK(
        absl::IsUnimplemented(world.Run({.component = component, .default_workload = "vm-vgpu"})));
  }
  CHECK(!world.Has("vgpu-manager-ready"));
  CHECK(!world.Has("vgpu-devices-ready"));
}

TEST_CASE("what is asked for must be known, and all files can be removed first") {
  World world;
  CHECK(absl::IsInvalidArgument(world.Run({.component = "toolkit"})));
  CHECK(!world.root.Exists(kDirectory));
  world.Put("driver-ready");
  CHECK(world.Run({.component = "cc-manager", .cleanup = true}).ok());
  CHECK(!world.Has("driver-ready"));
  CHECK(world.Has("cc-manager-ready"));
  ComponentOptions nameless{.component = "vfio-pci"};
  node_validator::ComponentWorld plain{world.kernel, world.kernel, world.clock,
                                       [&] { return world.labels; }, [](const std::string&) {}};
  CHECK(absl::IsInvalidArgument(node_validator::ValidateComponent(plain, nameless)));
}
