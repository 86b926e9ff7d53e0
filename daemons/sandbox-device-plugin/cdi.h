// SPDX-License-Identifier: Apache-2.0
//
// CDI specs: files by which container runtimes turn "nvidia.com/pgpu=0" into device nodes. Kata
// reads all of them for every GPU pod and fails the pod on one bad file.
// Source: container-device-interface SPEC.md, version 0.5.0.
#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "daemons/sandbox-device-plugin/inventory.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::sandbox_device_plugin {

// nvidia.com-pgpu.yaml, the name that NVIDIA's plugin uses, so that its file is replaced: the same
// device in two files is an error to CDI.
std::string CdiFileName(std::string_view resource);

// The spec. With groups it names /dev/vfio/<group> alone: one of Kata's two shims takes
// /dev/vfio/vfio for a device.
std::string RenderCdi(const Resource& resource);

// Makes the spec of `resource` be in `directory`; a spec without devices is invalid, so then its
// file is removed. A file that is right already is not touched. Tells whether one was written.
absl::StatusOr<bool> WriteCdi(HostFs& fs, const std::string& directory, const Resource& resource);

// What others have done in `directory` and in /etc/cdi that fails pods: the devices of one of
// `resources` defined a second time, or a version that Kata does not read. For a person.
std::vector<std::string> FindForeignCdi(const HostFs& fs, const std::string& directory,
                                        const std::vector<Resource>& resources);

// Removes the specs that this program wrote, now or in an earlier life, for resources other than
// these.
absl::Status RemoveStaleCdi(HostFs& fs, const std::string& directory,
                            const std::vector<Resource>& resources);

}  // namespace gpuhost::sandbox_device_plugin
