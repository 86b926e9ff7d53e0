// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/labels.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using cc::Mode;

namespace {

const std::string kVfio = "nvidia.com/gpu.deploy.vfio-manager";

kube::Node After(kube::Node node, const kube::NodePatch& patch) {
  const auto apply = [](kube::Labels& labels, const kube::LabelPatch& changes) {
    for (const auto& [key, value] : changes) {
      if (value)
        labels[key] = *value;
      else
        labels.erase(key);
    }
  };
  apply(node.labels, patch.labels);
  apply(node.annotations, patch.annotations);
  return node;
}

kube::Node Shown(const Stand& stand, kube::Node node, StateFormat format = StateFormat::kMirror) {
  node = After(node, Show(stand, format, node));
  const kube::NodePatch again = Show(stand, format, node);
  CHECK(again.labels.empty());
  CHECK(again.annotations.empty());
  return node;
}

}  // namespace

TEST_CASE("the label wins, absent and empty ones leave it to the default") {
  CHECK(*WantedMode({{kModeLabel, "ppcie"}}, Mode::kOff) == Mode::kPpcie);
  CHECK(*WantedMode({}, Mode::kOn) == Mode::kOn);
  CHECK(*WantedMode({{kModeLabel, ""}}, Mode::kDevtools) == Mode::kDevtools);
  const std::string bad = GENERATE(as<std::string>{}, "On", "on ", "enabled", "0", "o\xff");
  const auto refused = WantedMode({{kModeLabel, bad}}, Mode::kOn);
  CHECK(absl::IsInvalidArgument(refused.status()));
  CHECK(Text(refused.status()).find("off, on, devtools or ppcie") != std::string::npos);
}

TEST_CASE("a default that is no mode matters only where there is no label") {
  const absl::StatusOr<Mode> broken = cc::ParseMode("always");
  CHECK(*WantedMode({{kModeLabel, "on"}}, broken) == Mode::kOn);
  CHECK(absl::IsInvalidArgument(WantedMode({}, broken).status()));
}

TEST_CASE("each mode and its two labels") {
  struct Case {
    Mode mode;
    std::string state, ready;
  };
  const Case c =
      GENERATE(Case{Mode::kOff, "off", "false"}, Case{Mode::kOn, "on", "true"},
               Case{Mode::kDevtools, "devtools", ""}, Case{Mode::kPpcie, "ppcie", "true"});
  const kube::Node node = Shown({.phase = Phase::kSteady, .mode = c.mode}, {});
  CHECK(node.labels == kube::Labels{{kModeStateLabel, c.state}, {kReadyStateLabel, c.ready}});
  CHECK(node.annotations.at(kStatusAnnotation) == c.state + ": steady");
}

TEST_CASE("while a change is under way nothing is ready and the old state stays") {
  const Phase phase =
      GENERATE(Phase::kWaiting, Phase::kWithdrawing, Phase::kArming, Phase::kResetting);
  const kube::Node before = Shown({.phase = Phase::kSteady, .mode = Mode::kOn}, {});
  const kube::Node during = Shown({.phase = phase, .mode = Mode::kOff, .reason = "why"}, before);
  CHECK(during.labels.at(kModeStateLabel) == "on");
  CHECK(during.labels.at(kReadyStateLabel) == "");
  CHECK(during.annotations.at(kStatusAnnotation).find(": why") != std::string::npos);
}

TEST_CASE("the other format says off while a change is under way and on when it is done") {
  const kube::Node during =
      Shown({.phase = Phase::kResetting, .mode = Mode::kDevtools}, {}, StateFormat::kSeed);
  CHECK(during.labels.at(kModeStateLabel) == "off");
  const kube::Node after =
      Shown({.phase = Phase::kSteady, .mode = Mode::kDevtools}, during, StateFormat::kSeed);
  CHECK(after.labels.at(kModeStateLabel) == "on");
}

TEST_CASE("a failure says failed, and the operands come back") {
  const kube::Node node =
      Shown({.phase = Phase::kFailed, .mode = Mode::kOn, .reason = "dead"},
            {.labels = {{kVfio, "paused-for-cc-mode-change"}, {kModeStateLabel, "off"}}});
  CHECK(node.labels ==
        kube::Labels{{kVfio, "true"}, {kModeStateLabel, "failed"}, {kReadyStateLabel, ""}});
  CHECK(node.annotations.at(kStatusAnnotation) == "on: failed: dead");
}

TEST_CASE("a node without GPUs gets no labels, and loses a pause of an earlier time") {
  const kube::Node node = Shown({.phase = Phase::kSteady, .mode = Mode::kOn, .no_gpus = true},
                                {.labels = {{kVfio, "paused-for-cc-mode-change"}, {"zone", "a"}}});
  CHECK(node.labels == kube::Labels{{kVfio, "true"}, {"zone", "a"}});
  CHECK(node.annotations.empty());
}

TEST_CASE("only what differs is patched, and only keys of ours") {
  const kube::Node node{.labels = {{"zone", "a"}, {kVfio, "true"}, {kReadyStateLabel, ""}}};
  const Stand stand{.phase = Phase::kWithdrawing, .mode = Mode::kOn, .paused = true};
  const kube::NodePatch patch = Show(stand, StateFormat::kMirror, node);
  CHECK(patch.labels == kube::LabelPatch{{kVfio, "paused-for-cc-mode-change"}});
  for (const auto& [key, value] : patch.annotations) CHECK(kube::CheckOurs(key).ok());
}

TEST_CASE("cc.capable is kept where somebody wants to know") {
  const Stand able{.phase = Phase::kSteady, .mode = Mode::kOff, .capable = true};
  const kube::Node node = Shown(able, {});
  CHECK(node.labels.at(kCapableLabel) == "true");
  const Stand unable{.phase = Phase::kSteady, .mode = Mode::kOff, .capable = false};
  CHECK_FALSE(Shown(unable, node).labels.contains(kCapableLabel));
  const Stand silent{.phase = Phase::kSteady, .mode = Mode::kOff};
  CHECK(Shown(silent, node).labels.at(kCapableLabel) == "true");
}
