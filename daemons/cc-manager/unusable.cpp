// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/unusable.h"

#include <algorithm>

#include "daemons/common/service/status_document.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

std::string Wanted(const Stand& stand) {
  return stand.mode ? std::string(cc::ToString(*stand.mode)) : "another mode";
}

bool MayWrite(const Stand& stand) {
  return stand.phase == Phase::kArming || stand.phase == Phase::kResetting;
}

// "" for one that may be used; nothing where the view does not tell.
std::optional<std::string> MarkOf(const Stand& stand, const DeviceView& view) {
  if (MayWrite(stand) && !view.settled) {
    return fmt::format("its mode is being changed to {}", Wanted(stand));
  }
  if (view.settled && !view.state) return "";  // it need not have any
  if (!view.state && (view.in_use_by.empty() || !InChange(stand))) {
    return fmt::format("its mode is not known{}{}", view.error.empty() ? "" : ": ", view.error);
  }
  if (!view.state || !view.pending) return std::nullopt;
  if (view.pending != view.state) {
    return fmt::format("its next reset brings {}, and it is {}", cc::ToString(*view.pending),
                       cc::ToString(*view.state));
  }
  return "";
}

// Some devices of the node are in the wanted mode, and this one has been left behind.
bool LeftBehind(const Stand& stand, const DeviceView& view) {
  return stand.phase == Phase::kFailed && stand.mode && view.state && !view.settled &&
         std::ranges::any_of(stand.devices, &DeviceView::settled);
}

}  // namespace

Unusable::Unusable(const HostFs& fs) {
  const auto earlier = service::ReadStatusDocument(fs, "cc-manager");
  if (!earlier.ok()) return;
  for (const service::DeviceStatus& device : earlier->devices) {
    const auto bdf = pci::Bdf::Parse(device.bdf);
    if (bdf.ok() && !device.unusable.empty()) marks_[*bdf] = device.unusable;
  }
}

const std::map<pci::Bdf, std::string>& Unusable::Update(const Stand& stand) {
  if (MayWrite(stand) && !writing_) before_ = marks_;
  writing_ = MayWrite(stand);
  for (const DeviceView& view : stand.devices) {
    auto mark = MarkOf(stand, view);
    if (mark == "" && LeftBehind(stand, view)) {
      mark = fmt::format("it is {}, and the node is to be {}", cc::ToString(*view.state),
                         Wanted(stand));
    }
    if (mark == "") marks_.erase(view.bdf);
    if (mark && !mark->empty()) marks_[view.bdf] = *mark;
  }
  return marks_;
}

}  // namespace gpuhost::cc_manager
