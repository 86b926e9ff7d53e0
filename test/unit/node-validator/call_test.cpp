// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>

#include "daemons/node-validator/observe/kubelet_call.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"
#include "test/fake/temp_root.h"
#include "test/kubelet/pod_resources.h"

using namespace gpuhost;
using namespace gpuhost::node_validator;

namespace {

constexpr Duration kLimit = std::chrono::seconds(30);

}  // namespace

TEST_CASE("a gRPC server that does not know the method says so") {
  fake::TempRoot root;
  const std::string socket = root.Of("/kubelet.sock").string();
  const auto server = kubelet::PodResources::Start(socket);
  REQUIRE(server.ok());
  const auto answer = AskPodResources(socket, kLimit);
  INFO(Text(answer.status()));
  REQUIRE(answer.ok());
  CHECK(answer->find("gRPC status 12") != std::string::npos);
}

TEST_CASE("nobody listens, or somebody who never answers") {
  fake::TempRoot root;
  const std::string socket = root.Of("/kubelet.sock").string();
  CHECK(absl::IsUnavailable(AskPodResources(socket, kLimit).status()));
  root.File("/kubelet.sock", "");
  CHECK(absl::IsUnavailable(AskPodResources(socket, kLimit).status()));

  const std::string mute = root.Of("/mute.sock").string();
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  mute.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  CHECK(absl::IsUnavailable(AskPodResources(mute, std::chrono::milliseconds(100)).status()));
}
