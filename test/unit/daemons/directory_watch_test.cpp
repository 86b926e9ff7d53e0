// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/service/directory_watch.h"

#include <catch2/catch.hpp>

#include "daemons/common/service/signals.h"
#include "test/fake/temp_root.h"
#include "test/unit/sandbox-device-plugin/dead_socket.h"

using namespace gpuhost;
using service::DirectoryWatch;

namespace {

bool Readable(const DirectoryWatch& watch) {
  return service::WaitReadable({watch.fd()}, Duration::zero())[0];
}

}  // namespace

TEST_CASE("sockets that come and go are told, other files are not") {
  fake::TempRoot root;
  DirectoryWatch watch = *DirectoryWatch::Open();
  REQUIRE(watch.Watch(root.path()).ok());
  CHECK_FALSE(Readable(watch));
  CHECK_FALSE(watch.Drain(".sock"));

  root.File("/kubelet_internal_checkpoint", "{}");
  CHECK(Readable(watch));
  CHECK_FALSE(watch.Drain(".sock"));
  CHECK_FALSE(Readable(watch));

  LeaveDeadSocket(root.path() + "/kubelet.sock");
  CHECK(watch.Drain(".sock"));
  root.Remove("/kubelet.sock");
  CHECK(watch.Drain(".sock"));
  for (int i = 0; i < 1000; ++i) root.File("/file" + std::to_string(i), "");
  LeaveDeadSocket(root.path() + "/kubelet.sock");
  CHECK(watch.Drain(".sock"));
  CHECK_FALSE(Readable(watch));
}

TEST_CASE("a directory that is made anew is watched again") {
  fake::TempRoot root;
  const std::string directory = root.path() + "/plugins";
  DirectoryWatch watch = *DirectoryWatch::Open();
  CHECK(absl::IsNotFound(watch.Watch(directory)));
  root.Directory("/plugins");
  REQUIRE(watch.Watch(directory).ok());
  REQUIRE(watch.Watch(directory).ok());
  root.Remove("/plugins");
  CHECK(watch.Drain(".sock"));
  root.Directory("/plugins");
  REQUIRE(watch.Watch(directory).ok());
  watch.Drain(".sock");
  LeaveDeadSocket(directory + "/kubelet.sock");
  CHECK(watch.Drain(".sock"));
}

TEST_CASE("files that are written in place are told where that is asked for") {
  for (const bool asked : {false, true}) {
    fake::TempRoot root;
    root.File("/config.toml", "a");
    DirectoryWatch watch = *DirectoryWatch::Open();
    REQUIRE((asked ? watch.WatchContents(root.path()) : watch.Watch(root.path())).ok());
    root.File("/config.toml", "b");
    CHECK(watch.Drain("config.toml") == asked);
    root.File("/other.toml", "b");
    CHECK_FALSE(watch.DrainAny({"config.toml", "conf.d"}));
    root.Directory("/conf.d");
    CHECK(watch.DrainAny({"config.toml", "conf.d"}));
  }
}
