// SPDX-License-Identifier: Apache-2.0
#include "daemons/vfio-manager/render.h"

#include <nlohmann/json.hpp>

#include "libgpuhost/base/status.h"

namespace gpuhost::vfio_manager {

std::string NamesOf(const vfio::Unit& unit) {
  std::string names;
  for (const pci::Bdf& bdf : unit.leads) {
    names += fmt::format("{}{}", names.empty() ? "" : " ", bdf);
  }
  return names;
}

std::string RenderText(const std::vector<UnitOutcome>& outcomes) {
  std::string text;
  for (const auto& [unit, status] : outcomes) {
    const std::string quiet = unit.note.empty() ? "nothing to do" : unit.note;
    const std::string head = !status.ok()         ? "cannot be done: " + Text(status)
                             : unit.steps.empty() ? quiet
                                                  : "";
    text += fmt::format("{}:{}{}\n", NamesOf(unit), head.empty() ? "" : " ", head);
    for (const vfio::Step& step : unit.steps) text += fmt::format("  {}\n", ToString(step));
    for (const std::string& loss : unit.losses) text += fmt::format("  lost: {}\n", loss);
  }
  return text;
}

std::string RenderJson(const std::vector<UnitOutcome>& outcomes) {
  using nlohmann::ordered_json;
  ordered_json units = ordered_json::array();
  for (const auto& [unit, status] : outcomes) {
    ordered_json json{{"devices", ordered_json::array()},
                      {"functions", ordered_json::array()},
                      {"modules", unit.modules},
                      {"steps", ordered_json::array()},
                      {"blockers", ordered_json::array()},
                      {"note", unit.note},
                      {"losses", unit.losses}};
    for (const pci::Bdf& bdf : unit.leads) json["devices"].push_back(bdf.ToString());
    for (const pci::Device& device : unit.functions) {
      json["functions"].push_back(
          {{"bdf", device.bdf.ToString()}, {"driver", device.driver.value_or("")}});
    }
    for (const vfio::Step& step : unit.steps) {
      json["steps"].push_back({{"path", step.Path()}, {"text", step.Text()}});
    }
    for (const vfio::Blocker& blocker : unit.blockers) {
      json["blockers"].push_back({{"kind", ToString(blocker.obstacle)},
                                  {"bdf", blocker.bdf.ToString()},
                                  {"text", blocker.text}});
    }
    units.push_back(std::move(json));
  }
  const ordered_json plan{{"units", units}};
  // A process may be called anything.
  return plan.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace gpuhost::vfio_manager
