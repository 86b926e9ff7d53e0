// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/aer.h"

#include <catch2/catch.hpp>

#include "libgpuhost/pci/device.h"
#include "test/fake/temp_root.h"

using namespace gpuhost;

TEST_CASE("counters of PCI Express errors are read from the last lines of their tables") {
  fake::TempRoot root;
  const HostFs fs(root.path());
  const pci::Bdf bdf{.bus = 0x41};
  root.File(pci::SysfsPath(bdf, "aer_dev_correctable"), "RxErr 2\nBadTLP 5\nTOTAL_ERR_COR 7\n");
  root.File(pci::SysfsPath(bdf, "aer_dev_nonfatal"), "Undefined 0\nTOTAL_ERR_NONFATAL 0");
  root.File(pci::SysfsPath(bdf, "aer_dev_fatal"), "TOTAL_ERR_FATAL many\n");
  const pci::AerErrors errors = pci::ReadAerErrors(fs, bdf);
  CHECK(errors.correctable == 7);
  CHECK(errors.nonfatal == 0);
  CHECK_FALSE(errors.fatal);
}

TEST_CASE("a device without AER has no counters") {
  fake::TempRoot root;
  const pci::AerErrors errors = pci::ReadAerErrors(HostFs(root.path()), {.bus = 0x41});
  CHECK_FALSE(errors.correctable);
  CHECK_FALSE(errors.fatal);
}
