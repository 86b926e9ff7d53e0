// SPDX-License-Identifier: Apache-2.0
#include "test/node/machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>

#include "test/vgpu/proxy.h"

namespace gpuhost::node {

Devices::Devices(const Options& options) {
  for (int i = 0; i < options.gpus; ++i) {
    const size_t model = std::min(static_cast<size_t>(i), options.boards.size() - 1);
    if (i == 1 && options.paired)
      AddBeside(*options.boards[model], options);
    else
      AddSlot(*options.boards[model], options);
  }
  for (int i = 0; i < options.nvswitches; ++i) AddSlot(*vgpu::FindBoard("nvswitch"), options);
  if (options.foreign_member && !leads_.empty()) leads_[0]->SetMultifunction();
  for (const auto& [index, fault] : options.faults) leads_[index]->Set(fault);
}

void Devices::AddSlot(const vgpu::Board& board, const Options& options) {
  slots_.emplace_back();
  vgpu::VirtualGpu& lead = Add(board, options);
  leads_.push_back(&lead);
  for (const std::string_view name : board.companions) {
    if (name.empty()) continue;
    lead.SetMultifunction();
    Add(*vgpu::FindBoard(name), options);
  }
}

void Devices::AddBeside(const vgpu::Board& board, const Options& options) {
  leads_.back()->SetMultifunction();
  leads_.push_back(&Add(board, options));
}

vgpu::VirtualGpu& Devices::Add(const vgpu::Board& board, const Options& options) {
  gpus_.push_back(
      std::make_unique<vgpu::VirtualGpu>(board, clock_, options.boot_time, gpus_.size()));
  gpus_.back()->ForbidBarWrites(options.forbid_bar_writes);
  int ends[2] = {-1, -1};
  // Not close-on-exec: QEMU inherits its end. Ours is closed in the child before it becomes QEMU.
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return *gpus_.back();
  qemu_ends_.emplace_back(ends[0]);
  slots_.back().push_back(ends[0]);
  ::fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  servers_.emplace_back(
      [gpu = gpus_.back().get(), fd = ends[1]] { vgpu::ServeProxy(*gpu, UniqueFd(fd)); });
  return *gpus_.back();
}

std::vector<std::string> Devices::Violations() const {
  std::vector<std::string> lines;
  for (size_t i = 0; i < gpus_.size(); ++i) {
    if (const uint64_t writes = gpus_[i]->counters().violations; writes > 0) {
      lines.push_back(fmt::format("device {}: {} forbidden writes to BAR0", i, writes));
    }
    for (const std::string& rule : gpus_[i]->Breaches()) {
      lines.push_back(fmt::format("device {}: {}", i, rule));
    }
  }
  return lines;
}

}  // namespace gpuhost::node
