// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>

#include "daemons/kata-manager/containerd/closure.h"
#include "daemons/kata-manager/containerd/rehearsal.h"
#include "daemons/kata-manager/containerd/restart.h"

namespace gpuhost::kata_manager::containerd {

// Handlers with which containerd ran, and when that was last seen, in seconds since 1970.
struct Settled {
  std::vector<Handler> handlers;
  int64_t at = 0;
};

struct ApplyDeps {
  HostFs& fs;
  const HostFs& host;  // the host's tree, where imports outside of containerd's directory are
  RestartDeps restart;
  std::optional<Program> program;  // empty: containerd is not installed
  std::string artifacts_dir;
  std::string scratch;  // a directory for copies that containerd's program sees by the same name
  Restart policy = Restart::kAuto;
  int64_t stagger = 0;             // seconds between a change and the restart for it
  std::optional<Settled> settled;  // empty: not known
  bool force = false;              // also where sandboxes run, and what has failed before
};

struct Applied {
  bool changed = false;    // files were written
  bool restarted = false;  // and containerd took them up
  absl::Status due;        // why a restart that is due was not done; OK: none is due
  int64_t turn = 0;        // seconds until it is this node's turn, where that is why
  std::map<std::string, absl::Status> unfit;  // classes that were left out, and why
  // The handlers that it runs with now; empty: not asked, or it does not tell.
  rpc::RuntimeHandlers loaded;
};

// kFailedPrecondition where sandboxes run with a handler that the plan takes away.
absl::Status CheckSandboxes(const HostFs& fs, const Plan& plan);

// Carries the plan out: rehearsal, record of what was, the changes in their order, and a restart
// where containerd would run with other settings, in its turn among the nodes. Never one of a
// containerd that would not start with the files that are there. A restart that
// fails, or after which a handler is not loaded, has everything taken back and containerd restarted
// once more; that plan is then refused until something about it changes. Killed at any moment it
// leaves files that containerd takes, and the next call goes on.
//   kFailedPrecondition  sandboxes run with a handler that would go away; or the rehearsal failed;
//                        or this very plan has failed before
//   kAborted             somebody else edits a file; nothing of it was overwritten
absl::StatusOr<Applied> Apply(ApplyDeps& deps, const Observed& observed, const Plan& plan);

// Whether Apply would restart containerd now, and why not: for a person.
absl::StatusOr<std::string> DescribeRestart(ApplyDeps& deps, const Observed& observed,
                                            const Plan& plan);

}  // namespace gpuhost::kata_manager::containerd
