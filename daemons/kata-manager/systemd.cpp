// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <systemd/sd-bus.h>

#include <algorithm>

#include "daemons/kata-manager/services.h"
#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {
namespace {

constexpr const char* kName = "org.freedesktop.systemd1";
constexpr const char* kObject = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnit = "org.freedesktop.systemd1.Unit";
constexpr const char* kService = "org.freedesktop.systemd1.Service";
constexpr int64_t kMicroseconds = 1'000'000;
// A call cannot be ended from outside, and SIGTERM is to be obeyed soon.
constexpr uint64_t kCallLimit = 5'000'000;  // microseconds

struct Unref {
  void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
  void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};
using Bus = std::unique_ptr<sd_bus, Unref>;
using Message = std::unique_ptr<sd_bus_message, Unref>;
using Slot = std::unique_ptr<sd_bus_slot, Unref>;

absl::Status Failed(int negative_errno, std::string_view what) {
  return Error(absl::StatusCode::kUnavailable, "{}: {}", what,
               Text(ErrnoStatus(-negative_errno, "systemd")));
}

absl::StatusOr<Bus> Connect(const std::string& address) {
  sd_bus* raw = nullptr;
  int result = sd_bus_new(&raw);
  Bus bus(raw);
  if (result >= 0) result = sd_bus_set_address(bus.get(), address.c_str());
  if (result >= 0) result = sd_bus_start(bus.get());  // its own socket: no Hello, no names
  if (result >= 0) result = sd_bus_set_method_call_timeout(bus.get(), kCallLimit);
  if (result < 0) return Failed(result, fmt::format("connect to {}", address));
  return bus;
}

// Calls a method of the manager that takes texts and gives an object's path.
absl::StatusOr<std::string> Call(sd_bus* bus, const char* method,
                                 const std::vector<std::string>& texts) {
  sd_bus_message* raw = nullptr;
  int result = sd_bus_message_new_method_call(bus, &raw, kName, kObject, kManager, method);
  const Message request(raw);
  for (const std::string& text : texts) {
    if (result >= 0) result = sd_bus_message_append(request.get(), "s", text.c_str());
  }
  if (result < 0) return Failed(result, method);
  sd_bus_error error{};
  sd_bus_message* raw_reply = nullptr;
  result = sd_bus_call(bus, request.get(), 0, &error, &raw_reply);
  const Message reply(raw_reply);
  const std::string said = error.message == nullptr ? "" : error.message;
  const bool unknown = sd_bus_error_has_name(&error, "org.freedesktop.systemd1.NoSuchUnit") != 0;
  sd_bus_error_free(&error);
  const std::string what = fmt::format("{} {}", method, fmt::join(texts, " "));
  if (unknown) return Error(absl::StatusCode::kNotFound, "{}: {}", what, said);
  if (result < 0) return Failed(result, said.empty() ? what : what + ": " + said);
  const char* path = nullptr;
  // Subscribe answers with nothing.
  if (sd_bus_message_read(reply.get(), "o", &path) < 0) return std::string();
  return std::string(path);
}

template <typename T>
int Property(sd_bus* bus, const std::string& object, const char* interface, const char* name,
             char type, T& value) {
  return sd_bus_get_property_trivial(bus, kName, object.c_str(), interface, name, nullptr, type,
                                     &value);
}

int Property(sd_bus* bus, const std::string& object, const char* interface, const char* name,
             std::string& value) {
  char* text = nullptr;
  const int result =
      sd_bus_get_property_string(bus, kName, object.c_str(), interface, name, nullptr, &text);
  if (result >= 0) value = text;
  std::free(text);
  return result;
}

std::vector<std::string> TakeTexts(sd_bus_message* message) {
  char** texts = nullptr;
  std::vector<std::string> taken;
  if (sd_bus_message_read_strv(message, &texts) < 0 || texts == nullptr) return taken;
  for (char** text = texts; *text != nullptr; ++text) {
    taken.emplace_back(*text);
    std::free(*text);
  }
  std::free(texts);
  return taken;
}

Message PropertyMessage(sd_bus* bus, const std::string& object, const char* name,
                        const char* type) {
  sd_bus_message* raw = nullptr;
  if (sd_bus_get_property(bus, kName, object.c_str(), kService, name, nullptr, &raw, type) < 0) {
    return nullptr;
  }
  return Message(raw);
}

// The first command of ExecStart, with what Environment= says of its variables.
std::vector<std::string> CommandOf(sd_bus* bus, const std::string& object) {
  const Message starts = PropertyMessage(bus, object, "ExecStart", "a(sasbttttuii)");
  const char* program = nullptr;
  if (!starts || sd_bus_message_enter_container(starts.get(), 'a', "(sasbttttuii)") < 0 ||
      sd_bus_message_enter_container(starts.get(), 'r', "sasbttttuii") <= 0 ||
      sd_bus_message_read(starts.get(), "s", &program) < 0) {
    return {};
  }
  std::vector<std::string> command = TakeTexts(starts.get());
  if (command.empty()) return {};
  command[0] = program;  // the first word may be another name for it
  const Message variables = PropertyMessage(bus, object, "Environment", "as");
  return variables ? WithVariables(command, TakeTexts(variables.get())) : command;
}

// The job that is waited for, and how it ended.
struct Job {
  std::string path;
  std::vector<std::pair<std::string, std::string>> ended;  // path, result

  static int Removed(sd_bus_message* message, void* target, sd_bus_error*) {
    uint32_t id = 0;
    const char *path = nullptr, *unit = nullptr, *result = nullptr;
    if (sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) >= 0) {
      static_cast<Job*>(target)->ended.emplace_back(path, result);
    }
    return 0;
  }
  const std::string* Result() const {
    const auto found = std::ranges::find(ended, path, &std::pair<std::string, std::string>::first);
    return found == ended.end() ? nullptr : &found->second;
  }
};

class Systemd : public Services {
 public:
  Systemd(std::string address, int stop_fd) : address_(std::move(address)), stop_fd_(stop_fd) {}

  absl::StatusOr<Unit> Look(const std::string& name) override {
    GPUHOST_ASSIGN(const Bus bus, Connect(address_));
    GPUHOST_ASSIGN(const std::string object, Call(bus.get(), "LoadUnit", {name}));
    Unit unit;
    std::string loaded;
    uint64_t since = 0;
    int result = Property(bus.get(), object, kUnit, "LoadState", loaded);
    if (result >= 0) result = Property(bus.get(), object, kUnit, "ActiveState", unit.state);
    if (result >= 0 && loaded == "not-found") {
      return Error(absl::StatusCode::kNotFound, "there is no unit {}", name);
    }
    if (result >= 0) {
      result = Property(bus.get(), object, kUnit, "ActiveEnterTimestamp", 't', since);
    }
    if (result >= 0) result = Property(bus.get(), object, kService, "KillMode", unit.kill_mode);
    if (result >= 0) {
      result = Property(bus.get(), object, kService, "NRestarts", 'u', unit.restarts);
    }
    uint32_t pid = 0;
    if (result >= 0) result = Property(bus.get(), object, kService, "MainPID", 'u', pid);
    if (result < 0) return Failed(result, "look at " + name);
    unit.active = unit.state == "active";
    unit.main_pid = static_cast<int>(pid);
    unit.command = CommandOf(bus.get(), object);
    unit.active_since = static_cast<int64_t>(since) / kMicroseconds;
    return unit;
  }

  absl::Status Restart(const std::string& name, Duration limit) override {
    GPUHOST_ASSIGN(const Bus bus, Connect(address_));
    Job job;
    sd_bus_slot* raw = nullptr;
    // Before the job is made, so that its end is not missed.
    const int matched = sd_bus_match_signal(bus.get(), &raw, nullptr, kObject, kManager,
                                            "JobRemoved", &Job::Removed, &job);
    const Slot slot(raw);
    if (matched < 0) return Failed(matched, "follow the jobs of systemd");
    GPUHOST_TRY(Call(bus.get(), "Subscribe", {}).status());
    GPUHOST_ASSIGN(job.path, Call(bus.get(), "RestartUnit", {name, "replace"}));
    return Await(bus.get(), name, job, SystemClock().Now() + limit);
  }

 private:
  absl::Status Await(sd_bus* bus, const std::string& name, const Job& job, TimePoint deadline) {
    while (job.Result() == nullptr) {
      const int processed = sd_bus_process(bus, nullptr);
      if (processed < 0) return Failed(processed, "wait for the restart of " + name);
      if (processed > 0) continue;
      const Duration left = deadline - SystemClock().Now();
      if (left <= Duration::zero()) {
        return Error(absl::StatusCode::kDeadlineExceeded,
                     "{} was not restarted in time; see systemctl list-jobs", name);
      }
      pollfd fds[] = {{.fd = sd_bus_get_fd(bus), .events = POLLIN, .revents = 0},
                      {.fd = stop_fd_, .events = POLLIN, .revents = 0}};
      const auto sleep = std::chrono::ceil<std::chrono::milliseconds>(left).count();
      ::poll(fds, 2, static_cast<int>(std::min<int64_t>(sleep, 60'000)));
      if (fds[1].revents != 0) return absl::CancelledError("about to end");
    }
    if (*job.Result() == "done" || *job.Result() == "skipped") return absl::OkStatus();
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the restart of {} ended with '{}'; see journalctl -u {}", name, *job.Result(),
                 name);
  }

  const std::string address_;
  const int stop_fd_;
};

}  // namespace

std::vector<std::string> WithVariables(const std::vector<std::string>& command,
                                       const std::vector<std::string>& variables) {
  std::vector<std::string> words;
  for (std::string word : command) {
    for (auto last = variables.rbegin(); last != variables.rend(); ++last) {  // it wins
      const std::string& variable = *last;
      const size_t equals = std::min(variable.find('='), variable.size());
      const std::string name = variable.substr(0, equals);
      const std::string value = variable.substr(std::min(equals + 1, variable.size()));
      const std::string braced = "${" + name + "}";
      for (size_t at = word.find(braced); at != std::string::npos;
           at = word.find(braced, at + value.size())) {
        word.replace(at, braced.size(), value);
      }
      if (word == "$" + name && value.find_first_of(" \t") == std::string::npos) word = value;
    }
    words.push_back(std::move(word));
  }
  return words;
}

std::unique_ptr<Services> SystemdServices(std::string address, int stop_fd) {
  return std::make_unique<Systemd>(std::move(address), stop_fd);
}

}  // namespace gpuhost::kata_manager
