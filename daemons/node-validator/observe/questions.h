// SPDX-License-Identifier: Apache-2.0
//
// What no file of a node says and one must ask for while it runs: a program, the kernel by a system
// call, a daemon behind a socket. A captured node answers with what was answered then.
#pragma once

#include <absl/status/statusor.h>

#include <map>
#include <memory>
#include <string>

#include "daemons/node-validator/observe/tree.h"
#include "libgpuhost/gpu/registers.h"

namespace gpuhost::node_validator {

enum class Question {
  kKernelLog,        // lines about SEV, TDX, the IOMMU and VFIO, or none
  kKvmVersion,       // KVM_GET_API_VERSION of /dev/kvm, "12"
  kOpens,            // opening a device node for reading: ""
  kFreeSpace,        // of a directory's file system: "free bytes, free inodes, all inodes"
  kVersion,          // what a program prints for --version; only one that root alone can change
  kContainerdDump,   // "PROGRAM FILE": `containerd config dump` with that configuration file
  kRuntimeVersion,   // what the container runtime on that socket is: "containerd v2.1.4"
  kSocketPeer,       // the process of the node itself that listens on a socket: "1201"
  kConnects,         // whether anybody listens on a socket: ""
  kPodResourcesGet,  // what the kubelet on that socket says of a pod that does not exist
  kRuntimeHandlers,  // the handlers that the running container runtime has, one a line
  kImageHash,        // "IMAGE SALT BLOCKS SIZE HASH-SIZE": the root hash of all its blocks, and in
                     // the next line the first of which its hash tree says something else
  kQemu,             // the version of a QEMU that is started for a moment: "9.1.0"
  kGpuMode,          // the confidential-computing mode in a GPU's registers: "on"
  kSuperuser,        // "yes" or "no"
};

class Questions {
 public:
  virtual ~Questions() = default;

  // The answer, or why there is none. Nothing that is asked changes anything, or takes longer than
  // ten seconds, but for kImageHash. Asked a second time, the same is answered.
  const absl::StatusOr<std::string>& Ask(Question question, const std::string& argument = {});

  // All that was asked, by the name of its file in a capture.
  const std::map<std::string, absl::StatusOr<std::string>>& asked() const { return asked_; }

 private:
  virtual absl::StatusOr<std::string> Find(Question question, const std::string& argument) = 0;
  std::map<std::string, absl::StatusOr<std::string>> asked_;
};

// The name of a question's file below kCapture.
std::string FileName(Question question, const std::string& argument);

// `node` is the node's tree, of which only the live root "/" can run programs.
std::unique_ptr<Questions> AskNode(const Tree& tree, const gpu::Host& host);
std::unique_ptr<Questions> AskCapture(const Tree& tree);

// What a capture keeps of an answer.
std::string RenderAnswer(const absl::StatusOr<std::string>& answer);

}  // namespace gpuhost::node_validator
