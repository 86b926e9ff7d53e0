// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/metrics.h"

#include <sys/statvfs.h>

#include "daemons/kata-manager/sandboxes.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {

void DescribeMetrics(service::Metrics& metrics) {
  using Type = service::Metrics::Type;
  const auto gauge = [&metrics](const char* name, const char* help) {
    metrics.Describe(std::string("gpuhost_kata_") + name, Type::kGauge, help);
  };
  const auto counter = [&metrics](const char* name, const char* help) {
    metrics.Describe(std::string("gpuhost_kata_") + name, Type::kCounter, help);
  };
  gauge("generation_info", "What each class runs with");
  gauge("check_ok", "Whether a part is as it should be, by part");
  gauge("handler_loaded",
        "Whether the container runtime runs with the class's handler; where it does not say so, "
        "whether it was told");
  gauge("cdi_devices", "Names in the CDI file, by kind");
  gauge("cdi_conflict", "Whether somebody else writes the CDI file, by kind");
  gauge("file_given_up", "Files that somebody else changes again and again, and so are left alone");
  gauge("runtime_restart_blocked", "Whether a restart is due that may not be done");
  gauge("runtime_down", "Whether the container runtime has failed or is started again and again");
  gauge("sandboxes", "Kata sandboxes that run, by handler");
  gauge("disk_free_bytes", "Where the artefacts are");
  gauge("last_success_timestamp_seconds", "When a pass last found or made all as it should be");
  counter("passes_total", "Passes, by result");
  counter("config_drift_total", "Files put right after somebody else had changed them, by file");
  counter("config_apply_total", "Changes of the container runtime's files, by result");
  counter("runtime_restarts_total", "Restarts of the container runtime");
  counter("pull_failures_total", "Artefacts that could not be had, by class");
}

void CountPass(const Deps& deps, const Options& options, const Config& config, const Report& report,
               service::Metrics& metrics) {
  const std::string artifacts_dir = ArtifactsDir(options, config);
  for (const char* name :
       {"gpuhost_kata_generation_info", "gpuhost_kata_check_ok", "gpuhost_kata_handler_loaded",
        "gpuhost_kata_sandboxes", "gpuhost_kata_file_given_up"}) {
    metrics.Clear(name);
  }
  const bool told = report.runtime.due.ok() && report.AllWell();
  for (const RuntimeClass& entry : config.classes) {
    const auto current = Current(deps.fs, ClassDirectory(artifacts_dir, entry.name));
    if (current) {
      metrics.Set("gpuhost_kata_generation_info",
                  {{"class", entry.name},
                   {"digest", current->identity},
                   {"generation", std::to_string(current->number)}},
                  1);
    }
    const rpc::RuntimeHandlers& loaded = report.runtime.loaded;
    metrics.Set("gpuhost_kata_handler_loaded", {{"handler", entry.name}},
                (loaded ? loaded->contains(entry.name) : told) ? 1 : 0);
    const auto sandboxes = SandboxesOf(deps.fs, {entry.name});
    metrics.Set("gpuhost_kata_sandboxes", {{"handler", entry.name}},
                static_cast<double>(sandboxes.size()));
  }
  for (const Part& part : report.parts) {
    metrics.Set("gpuhost_kata_check_ok", {{"check", part.name}}, part.status.ok() ? 1 : 0);
    if (part.status.ok()) continue;
    if (part.name.starts_with("class ")) {
      metrics.Add("gpuhost_kata_pull_failures_total", {{"class", part.name.substr(6)}});
    } else if (part.name == "container runtime") {
      metrics.Add("gpuhost_kata_config_apply_total", {{"result", "failed"}});
    }
  }
  for (const CdiOutcome& outcome : report.cdi) {
    metrics.Set("gpuhost_kata_cdi_devices", {{"kind", outcome.kind}},
                static_cast<double>(outcome.devices.size()));
    metrics.Set("gpuhost_kata_cdi_conflict", {{"kind", outcome.kind}},
                outcome.owner == "somebody else" ? 1 : 0);
  }
  for (const std::string& path : report.repaired) {
    metrics.Add("gpuhost_kata_config_drift_total", {{"file", path}});
  }
  for (const Part& file : report.given_up) {
    metrics.Set("gpuhost_kata_file_given_up", {{"file", file.name}}, 1);
  }
  if (report.runtime.changed) {
    metrics.Add("gpuhost_kata_config_apply_total", {{"result", "done"}});
  }
  if (report.runtime.restarted) metrics.Add("gpuhost_kata_runtime_restarts_total", {});
  metrics.Set("gpuhost_kata_runtime_restart_blocked", {}, report.runtime.due.ok() ? 0 : 1);
  metrics.Set("gpuhost_kata_runtime_down", {}, report.down.ok() ? 0 : 1);
  struct statvfs disk {};
  if (::statvfs(deps.fs.Resolve(artifacts_dir).c_str(), &disk) == 0) {
    metrics.Set("gpuhost_kata_disk_free_bytes", {{"path", artifacts_dir}},
                static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize));
  }
  metrics.Add("gpuhost_kata_passes_total", {{"result", report.AllWell() ? "done" : "failed"}});
  if (report.AllWell()) {
    metrics.Set("gpuhost_kata_last_success_timestamp_seconds", {},
                static_cast<double>(deps.restart.now()));
  }
}

}  // namespace gpuhost::kata_manager
