// SPDX-License-Identifier: Apache-2.0
#include "daemons/sandbox-device-plugin/grants.h"

namespace gpuhost::sandbox_device_plugin {

void Grants::Begin(const std::vector<std::string>& ids) {
  const std::lock_guard lock(mutex_);
  for (const std::string& id : ids) ++grants_[id].open;
}

void Grants::End(const std::vector<std::string>& ids, bool given, TimePoint now) {
  const std::lock_guard lock(mutex_);
  for (const std::string& id : ids) {
    const auto grant = grants_.find(id);
    if (grant == grants_.end()) continue;
    --grant->second.open;
    if (given) grant->second.given = now;
    if (grant->second.open == 0 && !grant->second.given) grants_.erase(grant);
  }
}

std::map<std::string, Grants::Grant> Grants::Now() const {
  const std::lock_guard lock(mutex_);
  return grants_;
}

}  // namespace gpuhost::sandbox_device_plugin
