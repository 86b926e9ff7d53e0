// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/vfio/alias.h"

#include <catch2/catch.hpp>

#include "test/fake/temp_root.h"

using namespace gpuhost;
using vfio::Alias;
using vfio::BestModule;

namespace {

constexpr const char* kGrace = "pci:v000010DEd00002342sv000010DEsd000016EBbc03sc02i00";
const Alias kGeneric{"v*d*sv*sd*bc*sc*i*", "vfio_pci"};
const Alias kForGrace{"v000010DEd00002342sv*sd*bc*sc*i*", "nvgrace_gpu_vfio_pci"};

struct Kernel {
  explicit Kernel(const std::string& aliases) {
    root.File("/proc/sys/kernel/osrelease", "6.8.0-test\n");
    root.File("/lib/modules/6.8.0-test/modules.alias", aliases);
  }
  fake::TempRoot root;
  HostFs fs{root.path()};
};

}  // namespace

TEST_CASE("the pattern with the fewest wildcards wins, wherever it stands") {
  CHECK(BestModule(kGrace, std::vector{kGeneric, kForGrace}) == "nvgrace_gpu_vfio_pci");
  CHECK(BestModule(kGrace, std::vector{kForGrace, kGeneric}) == "nvgrace_gpu_vfio_pci");
  CHECK(BestModule("pci:v000010DEd00002331sv000010DEsd00001626bc03sc02i00",
                   std::vector{kGeneric, kForGrace}) == "vfio_pci");
}

TEST_CASE("of equally many wildcards the one that spells out most, then the first") {
  const Alias by_class{"v*d*sv*sd*bc03sc02i00", "by_class"};
  const Alias by_ids{"v000010DEd00002342sv000010DEsd*bc*sc*i*", "by_ids"};
  const Alias by_ids_again{"v000010DEd00002342sv000010DEsd*bc*sc*i*", "second"};
  CHECK(BestModule(kGrace, std::vector{by_class, by_ids, by_ids_again}) == "by_ids");
  CHECK(BestModule(kGrace, std::vector{by_ids_again, by_ids}) == "second");
}

TEST_CASE("a wildcard may stand for a part of a field") {
  const Alias family{"v000010DEd0000234*sv*sd*bc*sc*i*", "family"};
  const Alias any{"v000010DEd*sv*sd*bc*sc*i*", "any_nvidia"};
  const Alias one{"v000010DEd0000234[24]sv*sd*bc*sc*i*", "one_of_two"};
  CHECK(BestModule(kGrace, std::vector{any, family}) == "family");
  CHECK(BestModule(kGrace, std::vector{any, family, one}) == "one_of_two");
  CHECK(BestModule("pci:v000010DEd00002941sv000010DEsd00002045bc03sc02i00",
                   std::vector{family, kGeneric}) == "vfio_pci");
}

TEST_CASE("no alias and no modalias mean the generic driver") {
  CHECK(BestModule(kGrace, {}) == "vfio_pci");
  for (const char* broken : {"", "pci:", "pci:foo:bar", "usb:v000010DEd00002342"}) {
    CHECK(BestModule(broken, std::vector{kForGrace}) == "vfio_pci");
  }
}

TEST_CASE("modules.alias is read line by line, of whatever size") {
  std::string text = "# Aliases\nalias pci:v000010DEd*sv*sd*bc03sc02i* nouveau\n";
  while (text.size() < 5'000'000) text += "alias pci:v00008086d00001572sv*sd*bc*sc*i* i40e\n";
  text += "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\nalias vfio_pci:broken\nalias vfio_pci:\n";
  text += "alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* nvgrace_gpu_vfio_pci";  // no newline
  Kernel kernel(text);
  const auto aliases = vfio::ReadAliases(kernel.fs);
  REQUIRE(aliases.ok());
  REQUIRE(aliases->size() == 2);
  CHECK(aliases->back().module == "nvgrace_gpu_vfio_pci");
  CHECK(BestModule(kGrace, *aliases) == "nvgrace_gpu_vfio_pci");
}

TEST_CASE("a kernel without modules has none") {
  Kernel kernel("");
  CHECK(vfio::ReadAliases(kernel.fs)->empty());
  kernel.root.Remove("/lib/modules");
  CHECK(absl::IsNotFound(vfio::ReadAliases(kernel.fs).status()));
}
