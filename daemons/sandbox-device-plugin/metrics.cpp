// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/metrics.h"

#include <algorithm>

namespace gpuhost::sandbox_device_plugin {

void DescribeMetrics(service::Metrics& metrics) {
  using Type = service::Metrics::Type;
  metrics.Describe("gpuhost_plugin_units", Type::kGauge,
                   "Units by resource; without reason they are offered");
  metrics.Describe("gpuhost_plugin_devices", Type::kGauge,
                   "Devices by resource; more than units where some share an IOMMU group");
  metrics.Describe("gpuhost_plugin_device_healthy", Type::kGauge,
                   "1: offered; 0: withheld, with the reason");
  metrics.Describe("gpuhost_plugin_registered", Type::kGauge, "The kubelet of now knows of it");
  metrics.Describe("gpuhost_plugin_followed", Type::kGauge, "The kubelet follows its list");
  metrics.Describe("gpuhost_plugin_registrations_total", Type::kCounter, "Registrations");
  metrics.Describe("gpuhost_plugin_allocations_total", Type::kCounter,
                   "Requests for devices, by result");
  metrics.Describe("gpuhost_plugin_allocate_seconds_total", Type::kCounter,
                   "Time spent on requests for devices");
  metrics.Describe("gpuhost_plugin_cdi_writes_total", Type::kCounter, "CDI files, by result");
  metrics.Describe("gpuhost_plugin_aer_errors_total", Type::kCounter,
                   "Errors of PCI Express that the kernel has counted, by severity");
  metrics.Describe("gpuhost_plugin_pass_seconds", Type::kGauge, "How long the last pass took");
}

void SetMetrics(service::Metrics& metrics, const Readings& readings) {
  metrics.Clear("gpuhost_plugin_units");
  metrics.Clear("gpuhost_plugin_device_healthy");
  for (const Plugin::Resource& resource : readings.resources) {
    const auto set = [&](const char* name, double value) {
      metrics.Set(name, {{"resource", resource.name}}, value);
    };
    size_t devices = 0;
    for (const Listed& listed : resource.listed) {
      devices += listed.unit.bdfs.size();
      const std::string reason(ToString(listed.problem.reason));
      metrics.Add("gpuhost_plugin_units", {{"resource", resource.name}, {"reason", reason}});
      for (const pci::Bdf& bdf : listed.unit.bdfs) {
        metrics.Set("gpuhost_plugin_device_healthy",
                    {{"bdf", bdf.ToString()},
                     {"resource", resource.name},
                     {"unit", listed.unit.id},
                     {"reason", reason}},
                    listed.healthy());
      }
    }
    set("gpuhost_plugin_devices", static_cast<double>(devices));
    set("gpuhost_plugin_registered", resource.registered);
    set("gpuhost_plugin_followed", resource.followed);
    set("gpuhost_plugin_registrations_total", static_cast<double>(resource.registrations));
    set("gpuhost_plugin_allocate_seconds_total", Seconds(resource.requests.spent));
    for (const auto& [result, count] : {std::pair("done", resource.requests.allocated),
                                        std::pair("refused", resource.requests.refused)}) {
      metrics.Set("gpuhost_plugin_allocations_total",
                  {{"resource", resource.name}, {"result", result}}, static_cast<double>(count));
    }
  }
  metrics.Clear("gpuhost_plugin_aer_errors_total");
  for (const auto& [bdf, errors] : readings.errors) {
    for (const auto& [severity, count] :
         {std::pair("correctable", errors.correctable), std::pair("nonfatal", errors.nonfatal),
          std::pair("fatal", errors.fatal)}) {
      if (!count) continue;
      metrics.Set("gpuhost_plugin_aer_errors_total",
                  {{"bdf", bdf.ToString()}, {"severity", severity}}, static_cast<double>(*count));
    }
  }
  for (const auto& [result, count] : {std::pair("done", readings.cdi_files.written),
                                      std::pair("failed", readings.cdi_files.failed)}) {
    metrics.Set("gpuhost_plugin_cdi_writes_total", {{"result", result}},
                static_cast<double>(count));
  }
  metrics.Set("gpuhost_plugin_pass_seconds", {}, Seconds(readings.pass));
}

bool IsReady(const std::vector<Plugin::Resource>& resources) {
  return std::ranges::all_of(resources, [](const Plugin::Resource& resource) {
    return resource.listed.empty() || (resource.registered && resource.followed);
  });
}

}  // namespace gpuhost::sandbox_device_plugin
