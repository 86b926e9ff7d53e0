// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/rpc/unary_call.h"

#include <catch2/catch.hpp>
#include <thread>

#include "daemons/common/rpc/runtime_version.h"
#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"
#include "test/kubelet/scripted_method.h"

using namespace gpuhost;
using namespace gpuhost::rpc;

namespace {

constexpr Duration kLimit = std::chrono::seconds(60);
constexpr const char* kMethod = "/runtime.v1.RuntimeService/Version";

}  // namespace

TEST_CASE("a method that the server does not know is told as such each time, on a busy machine") {
  fake::TempRoot root;
  const std::string socket = root.Of("/a.sock").string();
  const auto server = kubelet::ScriptedMethod::Start(socket, kMethod, "");
  REQUIRE(server.ok());
  std::vector<std::jthread> load;
  for (unsigned i = 0; i < 4 * std::thread::hardware_concurrency(); ++i) {
    load.emplace_back([](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
      }
    });
  }
  for (int i = 0; i < 60; ++i) {
    const auto answer = CallUnary(socket, "x.Y/Z", "", kLimit);
    INFO(Text(answer.status()));
    REQUIRE(answer.ok());
    REQUIRE(answer->status == "12");
  }
}

TEST_CASE("a runtime says which one it is") {
  fake::TempRoot root;
  const std::string socket = root.Of("/a.sock").string();
  const std::string name = "containerd", version = "v2.1.4";
  const auto field = [](char number, const std::string& text) {
    return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(text.size()) +
           text;
  };
  const auto server = kubelet::ScriptedMethod::Start(
      socket, kMethod, field(1, "0.1.0") + field(2, name) + field(3, version) + field(4, "v1"));
  REQUIRE(server.ok());
  const auto found = AskRuntimeVersion(socket, kLimit);
  REQUIRE(found.ok());
  CHECK(found->name == name);
  CHECK(found->version == version);
  CHECK(absl::IsUnavailable(AskRuntimeVersion(socket + "x", kLimit).status()));
}

TEST_CASE("a runtime without CRI says so") {
  fake::TempRoot root;
  const std::string socket = root.Of("/a.sock").string();
  const auto server = kubelet::ScriptedMethod::Start(socket, "/other", "");
  REQUIRE(server.ok());
  CHECK(absl::IsUnimplemented(AskRuntimeVersion(socket, kLimit).status()));
}
