// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/metrics.h"

#include <catch2/catch.hpp>

using namespace gpuhost;
using namespace gpuhost::sandbox_device_plugin;
using Catch::Matchers::Contains;

namespace {

Plugin::Resource Pgpu() {
  const Unit single{.id = "1", .bdfs = {{.bus = 1}}},
      pair{.id = "2", .bdfs = {{.bus = 2}, {.bus = 3}}};
  return {.name = "nvidia.com/pgpu",
          .listed = {{single, {}}, {pair, {Reason::kModeChange, "mode change in progress"}}},
          .registered = true,
          .followed = true,
          .registrations = 3,
          .requests = {.allocated = 5, .refused = 2, .spent = std::chrono::milliseconds(500)}};
}

}  // namespace

TEST_CASE("metrics tell units by reason, devices, registrations and requests") {
  service::Metrics metrics;
  DescribeMetrics(metrics);
  SetMetrics(metrics, {.resources = {Pgpu()},
                       .errors = {{{.bus = 1}, {.correctable = 4, .nonfatal = 0}}},
                       .cdi_files = {.written = 2, .failed = 1},
                       .pass = std::chrono::milliseconds(250)});
  const std::string text = metrics.Render();
  for (const char* line : {
           "gpuhost_plugin_units{resource=\"nvidia.com/pgpu\",reason=\"\"} 1\n",
           "gpuhost_plugin_units{resource=\"nvidia.com/pgpu\",reason=\"mode-change\"} 1\n",
           "gpuhost_plugin_devices{resource=\"nvidia.com/pgpu\"} 3\n",
           "gpuhost_plugin_device_healthy{bdf=\"0000:01:00.0\",resource=\"nvidia.com/pgpu\","
           "unit=\"1\",reason=\"\"} 1\n",
           "gpuhost_plugin_device_healthy{bdf=\"0000:03:00.0\",resource=\"nvidia.com/pgpu\","
           "unit=\"2\",reason=\"mode-change\"} 0\n",
           "gpuhost_plugin_registered{resource=\"nvidia.com/pgpu\"} 1\n",
           "gpuhost_plugin_followed{resource=\"nvidia.com/pgpu\"} 1\n",
           "gpuhost_plugin_registrations_total{resource=\"nvidia.com/pgpu\"} 3\n",
           "gpuhost_plugin_allocations_total{resource=\"nvidia.com/pgpu\",result=\"done\"} 5\n",
           "gpuhost_plugin_allocations_total{resource=\"nvidia.com/pgpu\",result=\"refused\"} 2\n",
           "gpuhost_plugin_allocate_seconds_total{resource=\"nvidia.com/pgpu\"} 0.5\n",
           "gpuhost_plugin_aer_errors_total{bdf=\"0000:01:00.0\",severity=\"correctable\"} 4\n",
           "gpuhost_plugin_aer_errors_total{bdf=\"0000:01:00.0\",severity=\"nonfatal\"} 0\n",
           "gpuhost_plugin_cdi_writes_total{result=\"done\"} 2\n",
           "gpuhost_plugin_cdi_writes_total{result=\"failed\"} 1\n",
           "gpuhost_plugin_pass_seconds 0.25\n",
       }) {
    CHECK_THAT(text, Contains(line));
  }
}

TEST_CASE("a reason that is over is not told any more") {
  service::Metrics metrics;
  DescribeMetrics(metrics);
  Plugin::Resource pgpu = Pgpu();
  SetMetrics(metrics, {.resources = {pgpu}});
  pgpu.listed[1].problem = {};
  SetMetrics(metrics, {.resources = {pgpu}});
  CHECK_THAT(metrics.Render(), Contains("reason=\"\"} 2\n") && !Contains("mode-change"));
}

TEST_CASE("the plugin is ready when the kubelet follows every list with something in it") {
  Plugin::Resource pgpu = Pgpu(), empty{.name = "nvidia.com/nvswitch"};
  CHECK(IsReady({}));
  CHECK(IsReady({pgpu, empty}));
  pgpu.followed = false;
  CHECK_FALSE(IsReady({pgpu, empty}));
  pgpu.followed = true;
  pgpu.registered = false;
  CHECK_FALSE(IsReady({pgpu}));
}
