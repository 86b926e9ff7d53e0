// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/pods.h"

#include <algorithm>

#include "libgpuhost/base/status.h"

namespace gpuhost::sandbox_device_plugin {
namespace {

constexpr Duration kLimit = std::chrono::seconds(2);

bool Contains(const std::vector<std::string>& list, const std::string& one) {
  return std::ranges::find(list, one) != list.end();
}

}  // namespace

void Pods::ReadCheckpoint(TimePoint now) {
  checkpoint_status_ = absl::OkStatus();
  const auto text = fs_.Read(places_.checkpoint);
  has_checkpoint_ = text.ok();
  if (absl::IsNotFound(text.status())) {
    remembered_.clear();
  } else {
    auto parsed = text.ok() ? ParseCheckpoint(*text) : text.status();
    checkpoint_status_ = Annotate(parsed.status(), places_.checkpoint);
    // What was in it before still counts while it cannot be read.
    if (parsed.ok()) remembered_ = *std::move(parsed);
  }
  std::map<std::string, TimePoint> since;
  for (const Remembered& one : remembered_) {
    const auto earlier = since_.find(one.pod);
    since[one.pod] = earlier == since_.end() ? now : earlier->second;
  }
  since_ = std::move(since);
}

void Pods::KubeletChanged() {
  seen_.clear();
  listed_.clear();
  gone_.clear();
}

void Pods::Ask(TimePoint now) {
  // The file first: whoever is in it and is listed afterwards is the same pod.
  ReadCheckpoint(now);
  const std::string socket = fs_.Resolve(places_.socket);
  const std::optional<KubeletId> kubelet = FindKubelet(socket);
  if (kubelet != kubelet_) KubeletChanged();
  kubelet_ = kubelet;
  assignments_ = ListAssignments(socket, kLimit);
  if (assignments_.ok() && FindKubelet(socket) != kubelet) {
    assignments_ = Error(absl::StatusCode::kResourceExhausted,
                         "list pods at {}: the kubelet has started again meanwhile", socket);
  }
  if (assignments_.ok()) Compare(now);
}

void Pods::Compare(TimePoint now) {
  for (const auto& [device, users] : *assignments_) seen_[device] = now;
  std::set<std::string> listed;
  for (const Remembered& one : remembered_) {
    if (Listed(one)) listed.insert(one.pod);
  }
  for (const std::string& pod : listed_) {
    if (!listed.contains(pod)) gone_.insert(pod);
  }
  for (const std::string& pod : listed) gone_.erase(pod);
  listed_ = std::move(listed);
}

bool Pods::Listed(const Remembered& one) const {
  return assignments_.ok() && std::ranges::any_of(one.ids, [&](const std::string& id) {
           return assignments_->contains({one.resource, id});
         });
}

Pods::Presence Pods::Directory(const std::string& pod) const {
  if (!fs_.Exists(places_.directory)) return Presence::kUnknown;
  const bool plain = !pod.empty() && pod.find('/') == std::string::npos && pod[0] != '.';
  if (!plain) return Presence::kUnknown;
  const bool there = fs_.Exists(fmt::format("{}/{}", places_.directory, pod));
  return there ? Presence::kThere : Presence::kGone;
}

// A pod that was admitted may lack its directory for a while, so the kubelet's own word goes first.
bool Pods::Alive(const Remembered& one) const {
  if (gone_.contains(one.pod)) return false;
  return assignments_.ok() || Directory(one.pod) != Presence::kGone;
}

std::optional<std::vector<std::string>> Pods::Users(const std::string& resource,
                                                    const std::string& id) const {
  if (assignments_.ok()) {
    const auto found = assignments_->find({resource, id});
    if (found != assignments_->end()) return found->second;
  }
  std::vector<std::string> users;
  for (const Remembered& one : remembered_) {
    if (one.resource != resource || !Contains(one.ids, id) || !Alive(one)) continue;
    users.push_back(fmt::format("pod {} (container {}), of which the kubelet's checkpoint tells",
                                one.pod, one.container));
  }
  if (users.empty() && !known().ok()) return std::nullopt;
  return users;
}

bool Pods::Has(const std::string& resource, const std::string& id) const {
  const auto users = Users(resource, id);
  return users && !users->empty();
}

bool Pods::SeenSince(const std::string& resource, const std::string& id, TimePoint when) const {
  const auto seen = seen_.find({resource, id});
  return seen != seen_.end() && seen->second > when;
}

absl::Status Pods::known() const {
  if (!checkpoint_status_.ok()) return checkpoint_status_;
  // A kubelet without checkpoint has given nothing away yet.
  return has_checkpoint_ ? absl::OkStatus() : assignments_.status();
}

bool Pods::Unconfirmed(const std::set<std::string>& resources) const {
  return assignments_.ok() && std::ranges::any_of(remembered_, [&](const Remembered& one) {
           return resources.contains(one.resource) && !listed_.contains(one.pod);
         });
}

std::vector<Remembered> Pods::Standing(TimePoint now) const {
  std::vector<Remembered> standing;
  for (const Remembered& one : remembered_) {
    const bool named = assignments_.ok() && listed_.contains(one.pod);
    if (!named) {
      const Presence directory = Directory(one.pod);
      if (!Alive(one) || directory == Presence::kGone) continue;
      const bool alone = directory == Presence::kUnknown && !assignments_.ok();
      if (alone && now - since_.at(one.pod) >= kBelief) continue;
    }
    standing.push_back(one);
  }
  return standing;
}

}  // namespace gpuhost::sandbox_device_plugin
