// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "daemons/cc-manager/stand.h"
#include "libgpuhost/base/host_fs.h"

namespace gpuhost::cc_manager {

// Why a device must be given to nobody, in every phase: its next user would get another mode than
// the node's, or one that nobody knows. A mark stays until the device itself has answered, so it is
// true also when this process dies in the next instant; the next process takes it over from the
// status document.
class Unusable {
 public:
  explicit Unusable(const HostFs& fs);

  // The marks of a node that stands so. Marked is a device
  //   whose knobs may be written from now on: in kArming and kResetting, those not in the mode
  //   whose next reset brings another mode than it is in
  //   whose mode is not known, unless somebody uses it and it is known from before
  //   that was left in another mode than devices of the same node that are in the wanted one
  // and, until its pending mode is known, one that was marked before.
  const std::map<pci::Bdf, std::string>& Update(const Stand& stand);

  const std::map<pci::Bdf, std::string>& marks() const { return marks_; }
  // The change that was to write knobs was refused before it wrote any.
  void NothingWritten() { marks_ = before_; }

 private:
  std::map<pci::Bdf, std::string> marks_;
  std::map<pci::Bdf, std::string> before_;  // marks before the last change that was to write knobs
  bool writing_ = false;
};

}  // namespace gpuhost::cc_manager
