// SPDX-License-Identifier: Apache-2.0
//
// cc-manager dies before any of its writes to hardware and files, and before and after any of its
// requests to the API server, and a new one starts. Wherever that was, the node ends where it
// should, and on the way nobody was robbed.
#include <catch2/catch.hpp>
#include <cstdio>

#include "libgpuhost/base/status.h"
#include "test/unit/cc-manager/node_world.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

struct Story {
  std::string from, during,
      after;  // what the label says: before, while it dies, once it lives again
};

class Node : public NodeWorld {
 public:
  explicit Node(const Story& story)
      : NodeWorld({"h100-pcie"}, true,
                  {{kMode, story.from}, {kVfio, "true"}, {kKataPlugin, "custom"}, {"zone", "a"}}) {
    settings.readiness_file = kReadinessFile;
    settings.readiness_strict = true;
    machine.Bring(0, *cc::ParseMode(story.from));
    server->AddOperand({.node = "n",
                        .label = kVfio,
                        .name_space = "gpu-operator",
                        .app = "nvidia-vfio-manager",
                        .lag = 1});
    Restart();
    REQUIRE(Settle().status.ok());
    resets_before_ = Resets();
    SetMode(story.during);
    machine.kernel.OnWrite([this](const std::string& path) {
      if (path.ends_with("/reset")) CheckReset();
    });
  }

  // Before a reset the operand is gone and nothing is said to be ready (I1, I2, I5, I6).
  void CheckReset() {
    ++resets_seen_;
    if (Label(kVfio) == "true") violation_ = "reset while an operand is deployed";
    if (ReadyState() != "") violation_ = "reset of a node that says it is ready";
    if (machine.kernel.Exists(kReadinessFile)) violation_ = "reset with the readiness file there";
    if (machine.gpu(0).knob(6) != 0 && machine.gpu(0).knob(8) == 0)
      violation_ = "devtools without CC";
  }

  // What holds once it is steady (I3, I4, I6).
  void CheckSteady(const std::string& mode) {
    CHECK(violation_ == "");
    CHECK(AllIn(*cc::ParseMode(mode)));
    CHECK(ModeState() == mode);
    CHECK(ReadyState() == (mode == "off" ? "false" : mode == "on" ? "true" : ""));
    CHECK(Label(kVfio) == "true");
    CHECK(Label(kKataPlugin) == "custom");
    CHECK(Label("zone") == "a");
    CHECK(machine.kernel.Exists(kReadinessFile));
    CHECK(Resets() - resets_before_ <= 2);
    for (const auto& device : Document().devices) CHECK(device.unusable.empty());
  }

 private:
  uint64_t resets_before_ = 0, resets_seen_ = 0;
  std::string violation_;
};

}  // namespace

TEST_CASE("a death at any point leaves nothing that the next process does not mend") {
  const Story story = GENERATE(Story{"off", "on", "on"}, Story{"on", "off", "on"});
  int points = 0;
  for (bool finished = false; !finished; points += fake::kStride) {
    CAPTURE(story.from, story.during, story.after, points);
    REQUIRE(points < 3000);
    Node node(story);
    {
      fake::Life life(points, /*count_reads=*/false);
      node.Restart(&life);
      node.wakeup.Pass(20);
      node.Settle();
      finished = !life.WasEnded();
      node.Restart();
    }
    node.SetMode(story.after);
    node.wakeup.Pass(20);
    REQUIRE(node.Settle().status.ok());
    node.CheckSteady(story.after);
  }
  std::printf("%s -> %s -> %s: died and mended at %d points in steps of %d\n", story.from.c_str(),
              story.during.c_str(), story.after.c_str(), points, fake::kStride);
  CHECK(points > 100);
}
