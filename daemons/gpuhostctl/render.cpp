// SPDX-License-Identifier: Apache-2.0
#include "daemons/gpuhostctl/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemons/gpuhostctl/columns.h"

namespace gpuhost::gpuhostctl {
namespace {

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

std::vector<std::string> CellsOf(const Row& row) {
  return {row.bdf,
          row.model,
          OrDash(row.driver),
          row.iommu_group ? fmt::format("{}", *row.iommu_group) : "-",
          OrDash(row.vfio_node),
          row.mode.empty() ? "?" : row.mode,
          OrDash(row.pending)};
}

}  // namespace

std::string RenderTable(std::span<const Row> rows) {
  std::vector<std::vector<std::string>> lines{
      {"BDF", "MODEL", "DRIVER", "GROUP", "VFIO NODE", "CC MODE", "PENDING"}};
  for (const Row& row : rows) lines.push_back(CellsOf(row));
  std::string text = Columns(lines);
  for (const Row& row : rows) {
    if (!row.in_use_by.empty()) text += fmt::format("{}: in use by {}\n", row.bdf, row.in_use_by);
    if (!row.note.empty()) text += fmt::format("{}: {}\n", row.bdf, row.note);
    if (!row.pending.empty() && !row.mode.empty() && row.pending != row.mode) {
      text += fmt::format("{}: armed: the next reset brings {}; run cc-manager to settle it\n",
                          row.bdf, row.pending);
    }
  }
  return text;
}

std::string RenderJson(std::span<const Row> rows) {
  using nlohmann::ordered_json;
  const auto or_null = [](const std::string& text) {
    return text.empty() ? ordered_json(nullptr) : ordered_json(text);
  };
  ordered_json devices = ordered_json::array();
  for (const Row& row : rows) {
    devices.push_back(
        {{"bdf", row.bdf},
         {"kind", row.kind},
         {"model", row.model},
         {"driver", or_null(row.driver)},
         {"iommu_group", row.iommu_group ? ordered_json(*row.iommu_group) : ordered_json(nullptr)},
         {"vfio_node", or_null(row.vfio_node)},
         {"mode", or_null(row.mode)},
         {"pending", or_null(row.pending)},
         {"in_use_by", or_null(row.in_use_by)},
         {"users_known", row.users_known},
         {"note", or_null(row.note)}});
  }
  const ordered_json json{{"schema", 1}, {"devices", devices}};
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string CommonMode(std::span<const Row> rows) {
  if (rows.empty()) return "";
  const std::string& first = rows.front().mode;
  return std::ranges::all_of(rows, [&](const Row& row) { return row.mode == first; }) ? first : "";
}

std::string RenderMode(std::span<const Row> rows) {
  if (const std::string mode = CommonMode(rows); !mode.empty()) return mode + "\n";
  std::string text;
  for (const Row& row : rows) {
    text += fmt::format("{} {}\n", row.bdf, row.mode.empty() ? "unknown: " + row.note : row.mode);
  }
  return text;
}

std::string RenderModeJson(std::span<const Row> rows) {
  nlohmann::ordered_json json{{"schema", 1}, {"mode", nullptr}};
  if (const std::string mode = CommonMode(rows); !mode.empty()) json["mode"] = mode;
  return json.dump() + "\n";
}

}  // namespace gpuhost::gpuhostctl
