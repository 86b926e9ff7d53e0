// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/delegated_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;
using cc_manager::DelegatedFs;
using cc_manager::FilesProcess;
using Call = FilesProcess::Call;

namespace {

struct Bench {
  Bench() {
    root.File("/etc/token", "token\n");
    root.File("/etc/shadow", "secret");
    root.File("/run/nvidia/gpuhost/plugin.lock", "");
    const cc_manager::DelegatedFiles files{
        .own = {root.Of("/etc/token").string()},
        .node = {"/run/nvidia/gpuhost/plugin.lock"},
        .replaced = {"/run/nvidia/gpuhost/cc-manager.json", "/run/nvidia/validations/ready"}};
    process = FilesProcess::Fork(root.path(), files).value();
  }
  absl::Status Ask(Call call, const std::string& path) {
    return process->Ask(call, path, "x").status();
  }
  fake::TempRoot root;
  std::shared_ptr<FilesProcess> process;
};

}  // namespace

TEST_CASE("documents are replaced and removed, credentials are read, by somebody else") {
  Bench bench;
  DelegatedFs node(bench.root.path(), DelegatedFs::Of::kNode, bench.process);
  REQUIRE(service::Publish(node, {.daemon = "cc-manager", .phase = "steady"}).ok());
  REQUIRE(service::Publish(node, {.daemon = "cc-manager", .phase = "failed"}).ok());
  const auto document = service::ReadStatusDocument(HostFs(bench.root.path()), "cc-manager");
  REQUIRE(document.ok());
  CHECK(document->phase == "failed");
  CHECK(document->generation == 2);
  struct stat file {};
  REQUIRE(::stat(bench.root.Of("/run/nvidia/gpuhost/cc-manager.json").c_str(), &file) == 0);
  CHECK((file.st_mode & 0777) == 0644);

  REQUIRE(node.WriteFileAtomic("/run/nvidia/validations/ready", "", 0644).ok());
  CHECK(node.Exists("/run/nvidia/validations/ready"));
  CHECK(node.Remove("/run/nvidia/validations/ready").ok());
  CHECK_FALSE(node.Exists("/run/nvidia/validations/ready"));
  CHECK(node.Open("/run/nvidia/gpuhost/plugin.lock", O_RDONLY).ok());

  const DelegatedFs own("/", DelegatedFs::Of::kOwn, bench.process);
  CHECK(own.ReadAttribute(bench.root.Of("/etc/token").string()).value() == "token");
  bench.root.File("/etc/token", "renewed");
  CHECK(own.ReadAttribute(bench.root.Of("/etc/token").string()).value() == "renewed");
  bench.root.Remove("/etc/token");
  CHECK(absl::IsNotFound(own.Read(bench.root.Of("/etc/token").string()).status()));
}

TEST_CASE("no other file is opened or replaced, however it is asked for") {
  Bench bench;
  const std::string shadow = bench.root.Of("/etc/shadow").string();
  for (const std::string& path :
       {shadow, std::string("/run/nvidia/gpuhost/../../../etc/shadow"), std::string("/etc/shadow"),
        std::string("/run/nvidia/gpuhost/cc-manager.json/../x"), std::string("/run/nvidia/gpuhost"),
        std::string("//run/nvidia/gpuhost/cc-manager.json"), std::string(100'000, '/'),
        std::string()}) {
    for (const Call call : {Call::kOpenOwn, Call::kOpenNode, Call::kReplace, Call::kRemove}) {
      CAPTURE(path.substr(0, 100), static_cast<char>(call));
      CHECK_FALSE(bench.Ask(call, path).ok());
    }
  }
  // What is there to be read is not there to be written, nor of the other file system.
  CHECK(absl::IsPermissionDenied(bench.Ask(Call::kReplace, bench.root.Of("/etc/token").string())));
  CHECK(absl::IsPermissionDenied(bench.Ask(Call::kOpenNode, bench.root.Of("/etc/token").string())));
  CHECK(absl::IsPermissionDenied(bench.Ask(Call::kRemove, "/run/nvidia/gpuhost/plugin.lock")));
  CHECK(absl::IsPermissionDenied(
      bench.Ask(static_cast<Call>('?'), "/run/nvidia/gpuhost/plugin.lock")));
  CHECK(HostFs(bench.root.path()).Read("/etc/shadow").value() == "secret");
  const std::string large(1 << 20, 'x');
  CHECK(absl::IsResourceExhausted(
      bench.process->Ask(Call::kReplace, "/run/nvidia/gpuhost/cc-manager.json", large).status()));
  CHECK(bench.Ask(Call::kReplace, "/run/nvidia/gpuhost/cc-manager.json").ok());
}
