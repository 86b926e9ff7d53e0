// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/checkpoint.h"

#include <catch2/catch.hpp>

using namespace gpuhost::sandbox_device_plugin;

namespace {

using Strings = std::vector<std::string>;

// A response with /dev/vfio/devices/vfio3, host and container path, mrw: protobuf in base64.
const std::string kVfio3 =
    "GjcKFy9kZXYvdmZpby9kZXZpY2VzL3ZmaW8zEhcvZGV2L3ZmaW8vZGV2aWNlcy92ZmlvMxoDbXJ3";

std::string Checkpoint(const std::string& ids, const std::string& response = kVfio3) {
  return R"({"Data":{"PodDeviceEntries":[{"PodUID":"uid","ContainerName":"main","ResourceName":)"
         R"("nvidia.com/pgpu","DeviceIDs":)" +
         ids + R"(,"AllocResp":")" + response +
         R"("}],"RegisteredDevices":{"nvidia.com/pgpu":["3"]}},"Checksum":1})";
}

const Unit kThree{.id = "3", .nodes = {"/dev/vfio/devices/vfio3"}};
const Unit kFour{.id = "4", .nodes = {"/dev/vfio/devices/vfio4"}};
const Unit kMoved{.id = "0000:01:00.0", .nodes = {"/dev/vfio/devices/vfio4"}};
const Unit kInItsPlace{.id = "0000:02:00.0", .nodes = {"/dev/vfio/devices/vfio3"}};

std::map<std::string, Problem> Compare(const std::string& text, const std::vector<Unit>& units) {
  const auto remembered = ParseCheckpoint(text);
  REQUIRE(remembered.ok());
  return CompareCheckpoint(*remembered, {{"nvidia.com/pgpu", units}});
}

}  // namespace

TEST_CASE("a checkpoint is read in the forms of old and new kubelets") {
  for (const char* ids : {R"({"0":["3"],"1":["4"]})", R"(["3","4"])"}) {
    const auto remembered = ParseCheckpoint(Checkpoint(ids));
    REQUIRE(remembered.ok());
    REQUIRE(remembered->size() == 1);
    CHECK((*remembered)[0].pod == "uid");
    CHECK((*remembered)[0].container == "main");
    CHECK((*remembered)[0].resource == "nvidia.com/pgpu");
    CHECK((*remembered)[0].ids == Strings{"3", "4"});
    CHECK((*remembered)[0].nodes == Strings{"/dev/vfio/devices/vfio3"});
  }
}

TEST_CASE("a checkpoint that makes no sense changes nothing") {
  for (const char* text : {"", "{", "[]", "{}", R"({"Data":1})"}) {
    CHECK(absl::IsDataLoss(ParseCheckpoint(text).status()));
  }
  for (const std::string& text :
       {std::string(R"({"Data":{}})"), std::string(R"({"Data":{"PodDeviceEntries":{}}})"),
        std::string(R"({"Data":{"PodDeviceEntries":[1,{},{"PodUID":2}]}})"), Checkpoint("7"),
        Checkpoint(R"({"0":3})"), Checkpoint("[null]")}) {
    const auto remembered = ParseCheckpoint(text);
    REQUIRE(remembered.ok());
    CHECK(remembered->empty());
  }
  for (const char* response : {"", "???", "AAAA"}) {
    const auto remembered = ParseCheckpoint(Checkpoint(R"(["3"])", response));
    REQUIRE(remembered.ok());
    CHECK(remembered->at(0).nodes.empty());
  }
}

TEST_CASE("a container that would get another's device keeps both from being used") {
  CHECK(Compare(Checkpoint(R"(["3"])"), {kThree, kFour}).empty());
  const auto moved = Compare(Checkpoint(R"(["0000:01:00.0"])"), {kMoved, kInItsPlace});
  REQUIRE(moved.size() == 2);
  CHECK(moved.at("0000:01:00.0").reason == Reason::kCheckpoint);
  CHECK(moved.at("0000:02:00.0")
            .text.find("container main of pod uid would get "
                       "/dev/vfio/devices/vfio3") == 0);
  // A node that is nobody's fails the container and harms no one.
  CHECK(Compare(Checkpoint(R"(["0000:01:00.0"])"), {kMoved}).empty());
  // Both are the container's own.
  CHECK(Compare(Checkpoint(R"(["0000:01:00.0","0000:02:00.0"])"), {kMoved, kInItsPlace}).empty());
}
