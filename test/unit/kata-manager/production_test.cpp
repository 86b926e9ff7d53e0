// SPDX-License-Identifier: Apache-2.0
//
// Pulls as the program itself does them: its own wiring, libcurl, a registry on this machine.
#include "daemons/kata-manager/production.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "daemons/common/service/exit_code.h"
#include "daemons/common/service/log.h"
#include "daemons/common/service/signals.h"
#include "daemons/kata-manager/verbs.h"
#include "libgpuhost/base/status.h"
#include "test/fake/fake_clock.h"
#include "test/fake/temp_root.h"
#include "test/registry/scripted_registry.h"

using namespace gpuhost;
using namespace gpuhost::kata_manager;
using registry::Fault;
using Kind = registry::Fault::Kind;
using Catch::Matchers::Contains;

namespace {

const std::string kImage(300'000, 'i');
const std::string kToml = "[hypervisor.qemu]\nkernel = \"/k/vmlinuz\"\nimage = \"/k/kata.img\"\n";

// What goes to stderr meanwhile.
class Log {
 public:
  explicit Log(const std::string& path)
      : path_(path),
        before_(::dup(STDERR_FILENO)),
        file_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
    ::dup2(file_.get(), STDERR_FILENO);
    service::StartLog("kata-manager", service::Level::kInfo);
  }
  ~Log() { ::dup2(before_.get(), STDERR_FILENO); }
  std::string text() const { return *HostFs().Read(path_); }

 private:
  const std::string path_;
  UniqueFd before_, file_;
};

struct World {
  World() {
    options.root = root.path();
    options.artifacts_dir = "/art";
    options.config_path = "/kata.yaml";
    options.verb = Verb::kPull;
    root.File("/ca.pem", server.ca_pem());
    Configure(server.host());
  }
  void Configure(const std::string& host) {
    root.File("/kata.yaml",
              "registry: {ca: /ca.pem}\nruntimeClasses:\n- name: kata-x\n"
              "  artifacts: {url: \"" +
                  host + "/kata/gpu@" + digest + "\"}\n");
  }
  int Pull() {
    Production production(options, stop.get(), &clock);
    Deps deps = production.deps();
    return RunOnce(deps, options);
  }
  size_t Parts() {
    return HostFs(root.path()).List("/art/cas/partial").value_or(std::vector<std::string>()).size();
  }

  registry::ScriptedRegistry server;
  std::string digest = server.AddArtifact(
      {{"configuration.toml", kToml}, {"kata.img", kImage}, {"vmlinuz", "kernel"}});
  fake::TempRoot root;
  fake::FakeClock clock;
  UniqueFd stop{::eventfd(0, EFD_CLOEXEC)};
  Options options;
  Log log{root.Of("/log").string()};
};

}  // namespace

TEST_CASE("a registry that cannot be reached is tried five times, and its own fault is said") {
  World world;
  world.Configure("127.0.0.1:1");
  CHECK(world.Pull() == service::kFailed);
  CHECK_THAT(world.log.text(), Contains("127.0.0.1") && Contains("connect"));
  CHECK_THAT(world.log.text(), !Contains("about to end"));
  CHECK_THAT(world.log.text(), Contains("the registry is asked again later"));
}

TEST_CASE("a registry that is busy, and connections that break, do not end a pull") {
  World world;
  const Fault busy{.kind = Kind::kStatus, .status = GENERATE(429, 503), .retry_after = 20};
  world.server.Suffer("blobs/", {busy, {.kind = Kind::kCut, .bytes = 10}, busy});
  world.server.Suffer("manifests/", {busy});
  const int pulled = world.Pull();
  INFO(world.log.text());
  CHECK(pulled == service::kDone);
  CHECK_THAT(world.log.text(), Contains("the registry is asked again later seconds=20"));
  CHECK_THAT(world.log.text(), Contains("wants to be left alone for 20 s"));
}

TEST_CASE("nobody waits longer than five minutes for a registry, however long it wants") {
  World world;
  const Fault busy{.kind = Kind::kStatus,
                   .status = 503,
                   .retry_after = GENERATE(int64_t{3600}, int64_t{99'999'999'999})};
  world.server.Suffer("manifests/", std::vector<Fault>(5, busy));
  const TimePoint begin = world.clock.Now();
  CHECK(world.Pull() == service::kFailed);
  CHECK(world.clock.Now() - begin == 4 * std::chrono::minutes(5));
  CHECK_THAT(world.log.text(), Contains("the server answers 503"));
}

TEST_CASE("about to end is said when it is so, and what has come is kept") {
  World world;
  const uint64_t one = 1;
  REQUIRE(::write(world.stop.get(), &one, sizeof one) == sizeof one);
  world.Configure("127.0.0.1:1");
  CHECK(world.Pull() == service::kFailed);
  CHECK_THAT(world.log.text(), Contains("about to end"));
  CHECK(world.clock.Now() == fake::FakeClock().Now());
}

TEST_CASE("what is pulled stays when garbage is collected") {
  World world;
  REQUIRE(world.Pull() == service::kDone);
  world.options.verb = Verb::kGc;
  REQUIRE(world.Pull() == service::kDone);
  CHECK(world.root.Exists("/art/cas/sha256/" + Sha256Of(kImage)));
  CHECK(world.Parts() == 0);
}

TEST_CASE("run fetches beside its passes, and ends a fetch that nobody wants any more") {
  World world;
  world.options.verb = Verb::kRun;
  const Config config = *ParseConfig("kata.yaml", world.root.Content("/kata.yaml"));
  // It would be asked again in a minute of a clock that nobody moves but the fetch itself.
  const Fault busy{.kind = Kind::kStatus, .status = 503, .retry_after = 60};
  world.server.Suffer("manifests/", {busy});
  Production production(world.options, world.stop.get(), &world.clock);
  Deps deps = production.deps();
  const auto fetch = [&] { return deps.fetch(config.classes[0], config).status(); };
  CHECK_THAT(Text(fetch()), Contains("are being fetched"));
  service::WaitReadable({deps.fetched_fd}, std::nullopt);
  CHECK(fetch().ok());
  CHECK(fetch().ok());  // by now it is here
  world.root.Remove("/art");
  deps.cancel_fetch();
  CHECK_FALSE(deps.stopping());
}
