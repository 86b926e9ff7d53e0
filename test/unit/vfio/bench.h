// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <catch2/catch.hpp>

#include "libgpuhost/vfio/observe.h"
#include "libgpuhost/vfio/plan.h"
#include "libgpuhost/vfio/record.h"
#include "test/fake/fake_clock.h"
#include "test/fake/fake_kernel.h"

// A machine to observe and to plan for.
struct Bench {
  static gpuhost::pci::Bdf Bdf(const std::string& text) { return *gpuhost::pci::Bdf::Parse(text); }
  // A GPU to which nothing is left to do.
  void AddBound(const std::string& bdf, int group) {
    kernel.Add({.bdf = bdf, .iommu_group = group, .driver = "vfio-pci"});
    root.File("/sys/bus/pci/devices/" + bdf + "/driver_override", "vfio-pci\n");
    root.File("/sys/bus/pci/devices/" + bdf + "/d3cold_allowed", "0\n");
  }
  // Process 9 has the node of this IOMMU group open.
  void Hold(int group) {
    kernel.HoldOpen(9, "worker", fmt::format("/sys/class/vfio/{}/dev", group));
  }
  void Remember(const std::string& bdf, const gpuhost::vfio::Record& record) {
    REQUIRE(gpuhost::vfio::WriteRecord(kernel, Bdf(bdf), record).ok());
  }
  std::vector<gpuhost::vfio::Unit> Plan(const gpuhost::vfio::Request& request = {}) {
    const auto seen = gpuhost::vfio::Observe(kernel);
    REQUIRE(seen.ok());
    return gpuhost::vfio::Plan(*seen, request);
  }
  // The only one.
  gpuhost::vfio::Unit Unit(const gpuhost::vfio::Request& request = {}) {
    const auto units = Plan(request);
    REQUIRE(units.size() == 1);
    return units.front();
  }

  gpuhost::fake::TempRoot root;
  gpuhost::fake::FakeKernel kernel{root};
  gpuhost::fake::FakeClock clock;
};
