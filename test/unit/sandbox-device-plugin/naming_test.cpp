// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/naming.h"

#include <catch2/catch.hpp>

#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/names.h"

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;

namespace {

struct Vector {
  std::vector<uint16_t> ids;  // that have this name in the pci.ids of 2025-07-11
  std::string pci_name;
  std::string name;
};

const std::vector<Vector> kVectors{
    {{0x1af1}, "GA100 [A100 NVSwitch]", "GA100_A100_NVSWITCH"},
    {{0x22a3}, "GH100 [H100 NVSwitch]", "GH100_H100_NVSWITCH"},
    {{0x1db1, 0x1df5}, "GV100GL [Tesla V100 SXM2 16GB]", "GV100GL_TESLA_V100_SXM2_16GB"},
    {{0x1db0}, "GV100GL [Tesla GV100 SXM2-16GB SKU 890]", "GV100GL_TESLA_GV100_SXM2-16GB_SKU_890"},
    {{0x1e37},
     "TU102GL [Tesla T10 16GB / GRID RTX T10-2/T10-4/T10-8]",
     "TU102GL_TESLA_T10_16GB___GRID_RTX_T10-2_T10-4_T10-8"},
    {{0x1e30, 0x1e78}, "TU102GL [Quadro RTX 6000/8000]", "TU102GL_QUADRO_RTX_6000_8000"},
    {{0x1eb8}, "TU104GL [Tesla T4]", "TU104GL_TESLA_T4"},
    {{0x20b0}, "GA100 [A100 SXM4 40GB]", "GA100_A100_SXM4_40GB"},
    {{0x20b1, 0x20f1}, "GA100 [A100 PCIe 40GB]", "GA100_A100_PCIE_40GB"},
    {{0x20b2}, "GA100 [A100 SXM4 80GB]", "GA100_A100_SXM4_80GB"},
    {{0x20b3}, "GA100 [A100-SXM-64GB]", "GA100_A100-SXM-64GB"},
    {{0x20b5}, "GA100 [A100 PCIe 80GB]", "GA100_A100_PCIE_80GB"},
    {{0x20f3}, "GA100 [A800-SXM4-80GB]", "GA100_A800-SXM4-80GB"},
    {{0x2235}, "GA102GL [A40]", "GA102GL_A40"},
    {{0x2236}, "GA102GL [A10]", "GA102GL_A10"},
    {{0x2237}, "GA102GL [A10G]", "GA102GL_A10G"},
    {{0x25b6}, "GA107GL [A2 / A16]", "GA107GL_A2___A16"},
    {{0x26b5}, "AD102GL [L40]", "AD102GL_L40"},
    {{0x26b9}, "AD102GL [L40S]", "AD102GL_L40S"},
    {{0x27b8}, "AD104GL [L4]", "AD104GL_L4"},
    {{0x2302, 0x2343, 0x23b0, 0x23f0}, "GH100", "GH100"},
    {{0x2313}, "GH100 [H100 CNX]", "GH100_H100_CNX"},
    {{0x2321}, "GH100 [H100L 94GB]", "GH100_H100L_94GB"},
    {{0x2322}, "GH100 [H800 PCIe]", "GH100_H800_PCIE"},
    {{0x2324}, "GH100 [H800]", "GH100_H800"},
    {{0x2329}, "GH100 [H20]", "GH100_H20"},
    {{0x232c}, "GH100 [H20 HBM3e]", "GH100_H20_HBM3E"},
    {{0x2330}, "GH100 [H100 SXM5 80GB]", "GH100_H100_SXM5_80GB"},
    {{0x2331}, "GH100 [H100 PCIe]", "GH100_H100_PCIE"},
    {{0x2335}, "GH100 [H200 SXM 141GB]", "GH100_H200_SXM_141GB"},
    {{0x2336}, "GH100 [H100]", "GH100_H100"},
    {{0x2337}, "GH100 [H100 SXM5 64GB]", "GH100_H100_SXM5_64GB"},
    {{0x2338}, "GH100 [H100 SXM5 96GB]", "GH100_H100_SXM5_96GB"},
    {{0x2339}, "GH100 [H100 SXM5 94GB]", "GH100_H100_SXM5_94GB"},
    {{0x233a}, "GH100 [H800L 94GB]", "GH100_H800L_94GB"},
    {{0x233b}, "GH100 [H200 NVL]", "GH100_H200_NVL"},
    {{0x2342}, "GH100 [GH200 120GB / 480GB]", "GH100_GH200_120GB___480GB"},
    {{0x2345}, "GH100 [GH100-88K-A1]", "GH100_GH100-88K-A1"},
    {{0x2348}, "GH100 [GH200 144G HBM3e]", "GH100_GH200_144G_HBM3E"},
    {{0x2901}, "GB100 [B200]", "GB100_B200"},
    {{0x2920}, "GB100 [TS4 / B100]", "GB100_TS4___B100"},
    {{0x2924, 0x2925, 0x293d, 0x297e}, "GB100", "GB100"},
    {{0x2941}, "GB100 [HGX GB200]", "GB100_HGX_GB200"},
    {{0x29bc}, "GB102 [B100]", "GB102_B100"},
    {{0x2bb1},
     "GB202GL [RTX PRO 6000 Blackwell Workstation Edition]",
     "GB202GL_RTX_PRO_6000_BLACKWELL_WORKSTATION_EDITION"},
    {{0x2bb4},
     "GB202GL [RTX PRO 6000 Blackwell Max-Q Workstation Edition]",
     "GB202GL_RTX_PRO_6000_BLACKWELL_MAX-Q_WORKSTATION_EDITION"},
    {{0x2bb5},
     "GB202GL [RTX PRO 6000 Blackwell Server Edition]",
     "GB202GL_RTX_PRO_6000_BLACKWELL_SERVER_EDITION"},
    {{0x31c0}, "GB110", "GB110"},
    {{}, "GK104.GL [GRID/K520]", "GK104_GL_GRID_K520"},
    {{}, "Device [Name] (Rev A)", "DEVICE_NAME_REV_A"},
    {{}, "NVIDIA A100   80GB", "NVIDIA_A100_80GB"},
};

bool IsPinned(uint16_t id) {  // the confidential-computing parts and the switches
  return id == 0x1af1 || id == 0x22a3 || id >= 0x2302;
}

std::string AliasError(std::optional<std::string> gpu, std::optional<std::string> nvswitch) {
  const auto naming = Naming::Create(gpu, nvswitch);
  REQUIRE(absl::IsInvalidArgument(naming.status()));
  return Text(naming.status());
}

const pci::Device kGpu{.vendor = pci::kNvidia, .device = 0x2331, .class_code = 0x030200};
const pci::Device kSwitch{.vendor = pci::kNvidia, .device = 0x22a3, .class_code = 0x068000};

}  // namespace

TEST_CASE("models are named as NVIDIA's plugin names them") {
  for (const Vector& vector : kVectors) {
    CAPTURE(vector.pci_name);
    CHECK(FormatDeviceName(vector.pci_name) == vector.name);
    CHECK(ModelResourceName(vector.pci_name, 0) == vector.name);
    for (const uint16_t id : vector.ids) {
      if (!IsPinned(id)) continue;
      CAPTURE(id);
      CHECK(ModelResourceName(pci::DeviceName(id), id) == vector.name);
    }
  }
  CHECK(FormatDeviceName("").empty());
}

TEST_CASE("a name that Kubernetes or CDI would refuse is made valid") {
  const std::string embedded = "GA104 [RTX A4500 Embedded GPU ]";
  CHECK(FormatDeviceName(embedded) == "GA104_RTX_A4500_EMBEDDED_GPU_");
  CHECK(ModelResourceName(embedded, 0x24fa) == "GA104_RTX_A4500_EMBEDDED_GPU");
  CHECK(ModelResourceName("-_ T4 _-", 0) == "T4");
  CHECK(ModelResourceName("3D Rage", 0) == "DEV_3D_RAGE");
  CHECK(ModelResourceName("", 0x3182) == "DEVICE_3182");
  CHECK(ModelResourceName("", 0x00ab) == "DEVICE_00AB");
  CHECK(ModelResourceName("[()]", 0x3182) == "DEVICE_3182");
}

TEST_CASE("a long name is cut to 63 characters and stays its own") {
  const std::string just_fits(63, 'a'), longer(64, 'a'), other = longer + "b";
  CHECK(ModelResourceName(just_fits, 0) == std::string(63, 'A'));
  CHECK(ModelResourceName(longer, 0) == std::string(54, 'A') + "-89417985");
  CHECK(ModelResourceName(other, 0).size() == 63);
  CHECK(ModelResourceName(other, 0) != ModelResourceName(longer, 0));
}

TEST_CASE("an alias that is not set, empty and set are three things") {
  const auto unset = Naming::Create(std::nullopt, std::nullopt);
  REQUIRE(unset.ok());
  CHECK(unset->NameOf(kGpu) == "pgpu");
  CHECK(unset->NameOf(kSwitch) == "nvswitch");

  const auto models = Naming::Create("", "");
  REQUIRE(models.ok());
  CHECK(models->NameOf(kGpu) == "GH100_H100_PCIE");
  CHECK(models->NameOf(kSwitch) == "GH100_H100_NVSWITCH");

  const auto mixed = Naming::Create("Big.gpu-1", "");
  REQUIRE(mixed.ok());
  CHECK(mixed->NameOf(kGpu) == "Big.gpu-1");
  CHECK(mixed->NameOf(kSwitch) == "GH100_H100_NVSWITCH");
}

TEST_CASE("an alias that cannot be used is refused by name") {
  for (const std::string& bad :
       {std::string("2330"), std::string("gpu_"), std::string("-gpu"), std::string("my gpu"),
        std::string("nvidia.com/gpu"), std::string("gpu\n"), std::string(64, 'a')}) {
    CAPTURE(bad);
    CHECK(AliasError(bad, std::nullopt).find("P_GPU_ALIAS=") == 0);
    CHECK(AliasError(std::nullopt, bad).find("NVSWITCH_ALIAS=") == 0);
  }
  CHECK(AliasError("all", "all").find("different names") != std::string::npos);
  CHECK(AliasError("nvswitch", std::nullopt).find("different names") != std::string::npos);
}
