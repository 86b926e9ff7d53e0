// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/operands.h"

#include <catch2/catch.hpp>

using namespace gpuhost::cc_manager;

namespace {

const std::string kVfio = "nvidia.com/gpu.deploy.vfio-manager";
const std::string kPlugin = "nvidia.com/gpu.deploy.kata-sandbox-device-plugin";
const std::string kToken(kPauseToken);

Labels After(Labels labels, const LabelPatch& patch) {
  for (const auto& [key, value] : patch) {
    if (value)
      labels[key] = *value;
    else
      labels.erase(key);
  }
  return labels;
}

}  // namespace

TEST_CASE("what is paused comes back exactly as it was") {
  const std::string value = GENERATE(as<std::string>{}, "true", "false", "", "custom", "a_b",
                                     "paused-for-driver-upgrade", std::string(63, 'x'));
  CAPTURE(value);
  const Labels before{{kVfio, value}, {"zone", "a"}};
  const Labels paused = After(before, PausePatch(before));
  CHECK((paused.at(kVfio) == "true") == false);
  CHECK(After(paused, PausePatch(paused)) == paused);
  CHECK(After(paused, RestorePatch(paused)) == before);
  CHECK(RestorePatch(before).empty());
}

TEST_CASE("only what deploys something is paused, and no label is made") {
  const Labels labels{{kVfio, "true"},
                      {kPlugin, "true"},
                      {"nvidia.com/gpu.deploy.sandbox-validator", "false"},
                      {"nvidia.com/gpu.deploy.sandbox-device-plugin", ""},
                      {"nvidia.com/gpu.deploy.cc-manager", "true"},
                      {"nvidia.com/gpu.deploy.kata-manager", "true"}};
  CHECK(PausePatch(labels) == LabelPatch{{kVfio, kToken}, {kPlugin, kToken}});
  CHECK(PausePatch({}).empty());
  CHECK(PausePatch({{kVfio, "custom"}}) == LabelPatch{{kVfio, "custom_" + kToken}});
}

TEST_CASE("our token goes from whatever the label has become") {
  CHECK(WithoutToken(kToken) == "true");
  CHECK(WithoutToken("custom_" + kToken) == "custom");
  CHECK(WithoutToken("a_b_" + kToken) == "a_b");
  // Somebody else paused what we had paused, or the other way round.
  CHECK(WithoutToken(kToken + "_paused-for-driver-upgrade") == "paused-for-driver-upgrade");
  CHECK(WithoutToken("paused-for-driver-upgrade_" + kToken) == "paused-for-driver-upgrade");
  CHECK(WithoutToken("a_" + kToken + "_b") == "a_b");
  CHECK(WithoutToken(kToken + "_" + kToken) == "true");
  CHECK_FALSE(WithoutToken("paused-for-driver-upgrade"));
  CHECK_FALSE(WithoutToken("true"));
  CHECK_FALSE(WithoutToken(""));
  CHECK_FALSE(WithoutToken("un" + kToken));  // another word
}

TEST_CASE("empty deploy labels of older versions are removed, others are not") {
  const Labels labels{{kVfio, ""}, {kPlugin, "false"}, {"zone", ""}};
  CHECK(RemoveEmptyPatch(labels) == LabelPatch{{kVfio, std::nullopt}});
}

TEST_CASE("operands are known by either of the two labels they carry") {
  CHECK(IsPausedOperand({{"name", "nvidia-vfio-manager"}}));
  CHECK(IsPausedOperand({{"app", "nvidia-kata-sandbox-device-plugin-daemonset"}}));
  CHECK(IsPausedOperand({{"app", "nvidia-vgpu-manager-daemonset"}}));
  CHECK_FALSE(IsPausedOperand({{"name", "nvidia-cc-manager"}}));
  CHECK_FALSE(IsPausedOperand({{"app", "llm"}, {"tier", "nvidia-vfio-manager"}}));
  CHECK_FALSE(IsPausedOperand({}));
}
