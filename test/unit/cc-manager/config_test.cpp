// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/config.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;

namespace {

absl::StatusOr<Config> Read(const std::string& text) {
  fake::TempRoot root;
  root.File("/etc/gpuhost/cc-manager.toml", text);
  return ReadConfig(HostFs(root.path()), "/etc/gpuhost/cc-manager.toml");
}

}  // namespace

TEST_CASE("a configuration file is read") {
  const auto config = Read(R"(
# comment
mode = "ppcie"
workload-policy = "refuse"
http-address = "127.0.0.1:9400"
)");
  REQUIRE(config.ok());
  CHECK(config->mode == cc::Mode::kPpcie);
  CHECK(config->policy == WorkloadPolicy::kRefuse);
  CHECK(config->http_address == "127.0.0.1:9400");
  CHECK_FALSE(Read("")->mode);
}

TEST_CASE("what cannot be used is refused with its place") {
  struct Case {
    std::string text, said;
  };
  const Case c = GENERATE(
      Case{"\nmode = \"always\"", ":2:8: 'always' is not"}, Case{"mode = 1", ":1:8: mode must be"},
      Case{"mode = ", ":1:"},
      Case{"[gpus.\"0000:41:00.0\"]\nmode = \"off\"", "a node has one mode"},
      Case{"mod = \"on\"", "'mod' is unknown"}, Case{"workload-policy = \"drain\"", "evicts pods"},
      Case{"workload-policy = \"kill\"", "'kill' is no policy"},
      Case{"mode=\"on\"\nmode=\"off\"", ":2:"}, Case{std::string("mode = \"\xff\xfe\""), ":1:"});
  CAPTURE(c.text);
  const auto refused = Read(c.text);
  REQUIRE(absl::IsInvalidArgument(refused.status()));
  CHECK(Text(refused.status()).find("/etc/gpuhost/cc-manager.toml") == 0);
  CHECK(Text(refused.status()).find(c.said) != std::string::npos);
}

TEST_CASE("no file is told apart from a bad one") {
  fake::TempRoot root;
  CHECK(absl::IsNotFound(ReadConfig(HostFs(root.path()), "/etc/none.toml").status()));
}
