// SPDX-License-Identifier: Apache-2.0
#include "libgpuhost/pci/aer.h"

#include "libgpuhost/base/parse.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/pci/device.h"

namespace gpuhost::pci {
namespace {

// From the last line of a table: "TOTAL_ERR_FATAL 3".
std::optional<uint64_t> TotalOf(const HostFs& fs, const Bdf& bdf, std::string_view attribute,
                                std::string_view total) {
  const std::string table = fs.Read(SysfsPath(bdf, attribute)).value_or("");
  const size_t at = table.find(total);
  if (at == std::string::npos) return std::nullopt;
  const size_t start = at + total.size();
  return ParseDecimal(std::string_view(table).substr(start, table.find('\n', start) - start));
}

}  // namespace

AerErrors ReadAerErrors(const HostFs& fs, const Bdf& bdf) {
  return {.correctable = TotalOf(fs, bdf, "aer_dev_correctable", "TOTAL_ERR_COR "),
          .nonfatal = TotalOf(fs, bdf, "aer_dev_nonfatal", "TOTAL_ERR_NONFATAL "),
          .fatal = TotalOf(fs, bdf, "aer_dev_fatal", "TOTAL_ERR_FATAL ")};
}

}  // namespace gpuhost::pci
