// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/state.h"

#include <nlohmann/json.hpp>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr int kSchema = 1;

std::string PathIn(const std::string& artifacts_dir) { return artifacts_dir + "/state.json"; }

}  // namespace

absl::StatusOr<State> ReadState(const HostFs& fs, const std::string& artifacts_dir) {
  const std::string path = PathIn(artifacts_dir);
  const auto text = fs.Read(path);
  if (absl::IsNotFound(text.status())) return State();
  if (!text.ok()) return text.status();
  State state;
  try {
    const auto json = nlohmann::json::parse(*text);
    state.restart_due = json.at("restart_due").get<bool>();
    state.changed = json.at("changed").get<int64_t>();
    json.at("restarts").get_to(state.restarts);
    json.at("refused").get_to(state.refused);
    state.pending = json.value("pending", std::string());
    state.begun = json.value("begun", int64_t{0});
    json.at("held").get_to(state.held);
  } catch (const nlohmann::json::exception& error) {
    return Error(absl::StatusCode::kDataLoss, "{}: {}; remove it if nothing else helps", path,
                 error.what());
  }
  return state;
}

absl::Status WriteState(HostFs& fs, const std::string& artifacts_dir, const State& state) {
  const nlohmann::ordered_json json{{"schema", kSchema},        {"restart_due", state.restart_due},
                                    {"changed", state.changed}, {"restarts", state.restarts},
                                    {"refused", state.refused}, {"pending", state.pending},
                                    {"begun", state.begun},     {"held", state.held}};
  const std::string text = json.dump(2) + "\n", path = PathIn(artifacts_dir);
  if (fs.Read(path).value_or("") == text) return absl::OkStatus();
  if (state == State() && !fs.Exists(path)) return absl::OkStatus();
  GPUHOST_TRY(fs.MakeDirectories(artifacts_dir));
  return fs.WriteFileAtomic(path, text, 0644);
}

}  // namespace gpuhost::kata_manager
