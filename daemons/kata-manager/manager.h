// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemons/kata-manager/cdi.h"
#include "daemons/kata-manager/containerd/apply.h"
#include "daemons/kata-manager/digest.h"
#include "daemons/kata-manager/drift.h"
#include "daemons/kata-manager/generation.h"
#include "daemons/kata-manager/heartbeat.h"
#include "daemons/kata-manager/options.h"
#include "libgpuhost/vfio/modules.h"

namespace gpuhost::kata_manager {

struct Deps {
  HostFs& fs;          // of this process: /sys, /run, our files, containerd's configuration
  const HostFs& host;  // the host's tree: Kata, the program of containerd
  Clock& clock;
  vfio::LoadModule load_module;
  containerd::RestartDeps restart;
  std::function<absl::StatusOr<containerd::Program>(const containerd::Location&)> find_program;
  // What the artefacts of a class make; pulls what is not there yet.
  std::function<absl::StatusOr<Recipe>(const RuntimeClass&, const Config&)> fetch;
  Drift drift;                                 // what happens to our files between passes
  std::optional<containerd::Settled> settled;  // the same of the container runtime
  bool distrust = true;                        // read the artefacts that are there, once
  Stopping stopping = {};                      // whether this process is to end
  // Where `fetch` works beside the passes: readable when it is to be asked again; else -1.
  int fetched_fd = -1;
  std::function<void()> cancel_fetch = [] {};  // what is under way is not wanted any more
  std::shared_ptr<Heartbeat> heartbeat = std::make_shared<Heartbeat>();
};

// How one thing that was to be done came out. OK: it is as wanted.
struct Part {
  std::string name;  // "modules", "class kata-x", "containerd"
  absl::Status status;
};

struct Report {
  std::vector<Part> parts;
  std::vector<CdiOutcome> cdi;
  containerd::Applied runtime;        // what was done to the container runtime
  std::vector<std::string> repaired;  // files that somebody else had changed
  std::vector<Part> given_up;         // files that somebody else changes again and again
  absl::Status down;                  // the container runtime is; OK: it is not, or was not asked
  std::vector<std::string> notes;     // what a person ought to know and nothing is wrong with

  bool AllWell() const;
  // The first thing that is not as wanted; empty when all is.
  std::string Trouble() const;
};

// The directory of our records, as the configuration or the command line says.
std::string ArtifactsDir(const Options& options, const Config& config);

// Where the container runtime that serves the kubelet has its files. The errors of FindServing.
absl::StatusOr<containerd::Location> LocationFor(const Deps& deps, const Options& options,
                                                 const Config& config);

// The files of the container runtime in which we have something: its main file, where that is when
// it is a link, and our own. None where the runtime is left alone.
std::vector<std::string> RuntimeFiles(const Deps& deps, const Options& options,
                                      const Config& config);

// One pass: modules, CDI files, artefacts, and the container runtime's handlers. Each part that
// fails is reported and does not keep the others. A file that somebody else changes is put right,
// up to what Drift allows. Without classes, and where none ever were, the container runtime is
// neither touched nor asked.
Report Pass(Deps& deps, const Options& options, const Config& config);

// What a pass would change in files of the container runtime, and whether it is restarted then.
struct RuntimePlan {
  containerd::Observed observed;
  containerd::Plan plan;
};
// Classes whose artefacts are not here yet count as if they were.
absl::StatusOr<RuntimePlan> PlanRuntime(Deps& deps, const Options& options, const Config& config);
containerd::ApplyDeps ApplyDepsFor(Deps& deps, const Options& options, const Config& config,
                                   const containerd::Location& where);

// The handlers that the container runtime runs with; empty: it does not tell, does not run, or is
// left alone by this configuration.
rpc::RuntimeHandlers LoadedHandlers(Deps& deps, const Options& options, const Config& config);

// kUnavailable when the container runtime is down: see CheckUp.
absl::Status RuntimeDown(Deps& deps, const Options& options, const Config& config);

// The handlers in the files of the container runtime, as this configuration wants them.
absl::StatusOr<containerd::Applied> ApplyRuntime(Deps& deps, const Options& options,
                                                 const Config& config);

// Artefacts in directories that the configuration named before and that nothing needs any more.
// What was removed, for a person.
absl::StatusOr<std::vector<std::string>> RetirePlaces(Deps& deps, const Options& options,
                                                      const Config& config);

// Takes back all that was done: the handlers, with a restart, then the artefacts, the CDI files
// last. Refused, and then nothing is changed, while sandboxes run with a handler or guests with
// artefacts, and while a file of the container runtime names an artefact outside of what is ours
// there.
Report Uninstall(Deps& deps, const Options& options, const Config& config);

}  // namespace gpuhost::kata_manager
