// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/hardware_messages.h"

#include <algorithm>
#include <cstring>

#include "libgpuhost/base/status.h"

namespace gpuhost::cc_manager {
namespace {

// Writer and Reader offer the same operations, so that each message is described once, by Walk.
class Writer {
 public:
  template <typename Integer>
  void Number(Integer& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void Text(std::string& text, size_t limit) {
    std::string clean = text.substr(0, limit);
    std::ranges::replace_if(
        clean, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    auto size = static_cast<uint16_t>(clean.size());
    Number(size);
    bytes_ += clean;
  }

  template <typename Element>
  void Resize(std::vector<Element>& list) {
    auto size = static_cast<uint16_t>(std::min(list.size(), size_t{UINT16_MAX}));
    Number(size);
    Demand(size <= kMaxDevices);
  }

  void Demand(bool holds) { good_ = good_ && holds; }
  bool good() const { return good_ && bytes_.size() <= kMaxMessage; }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
  bool good_ = true;
};

// After the first thing that is wrong everything reads as zero, and it is no longer good.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes), good_(bytes.size() <= kMaxMessage) {}

  template <typename Integer>
  void Number(Integer& value) {
    value = 0;
    const std::string_view bytes = Bytes(sizeof value);
    if (good_) std::memcpy(&value, bytes.data(), sizeof value);
  }

  void Text(std::string& text, size_t limit) {
    uint16_t size = 0;
    Number(size);
    Demand(size <= limit);
    text = Bytes(size);
    Demand(std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7e; }));
  }

  template <typename Element>
  void Resize(std::vector<Element>& list) {
    uint16_t size = 0;
    Number(size);
    Demand(size <= kMaxDevices);
    list.resize(good_ ? size : 0);
  }

  void Demand(bool holds) { good_ = good_ && holds; }
  bool good() const { return good_ && left_.empty(); }

 private:
  std::string_view Bytes(size_t count) {
    Demand(count <= left_.size());
    if (!good_) return {};
    const std::string_view bytes = left_.substr(0, count);
    left_.remove_prefix(count);
    return bytes;
  }

  std::string_view left_;
  bool good_;
};

template <typename Archive>
void Walk(Archive& archive, bool& value) {
  uint8_t byte = value ? 1 : 0;
  archive.Number(byte);
  archive.Demand(byte <= 1);
  value = byte == 1;
}

template <typename Archive, typename Enum>
void WalkEnum(Archive& archive, Enum& value, Enum first, Enum last) {
  auto byte = static_cast<uint8_t>(value);
  archive.Number(byte);
  const bool known = byte >= static_cast<uint8_t>(first) && byte <= static_cast<uint8_t>(last);
  archive.Demand(known);
  value = known ? static_cast<Enum>(byte) : first;
}

template <typename Archive>
void Walk(Archive& archive, std::optional<cc::State>& value) {
  bool there = value.has_value();
  Walk(archive, there);
  cc::State state = value.value_or(cc::State::kOff);
  WalkEnum(archive, state, cc::State::kOff, cc::State::kInvalid);
  archive.Demand(there || state == cc::State::kOff);  // one message for one meaning
  value = there ? std::optional(state) : std::nullopt;
}

template <typename Archive>
void Walk(Archive& archive, absl::Status& value) {
  absl::StatusCode code = value.code();
  WalkEnum(archive, code, absl::StatusCode::kOk, absl::StatusCode::kUnauthenticated);
  std::string text = Text(value);
  archive.Text(text, kMaxNodeText);
  archive.Demand(code != absl::StatusCode::kOk || text.empty());
  value = absl::Status(code, text);
}

template <typename Archive>
void Walk(Archive& archive, Duration& value) {
  int64_t nanoseconds = value.count();
  archive.Number(nanoseconds);
  archive.Demand(nanoseconds >= 0);
  value = Duration(nanoseconds);
}

template <typename Archive>
void Walk(Archive& archive, std::vector<DeviceView>& devices) {
  archive.Resize(devices);
  for (DeviceView& device : devices) {
    archive.Number(device.bdf.domain);
    archive.Number(device.bdf.bus);
    archive.Number(device.bdf.device);
    archive.Number(device.bdf.function);
    archive.Demand(device.bdf.device < 32 && device.bdf.function < 8);
    Walk(archive, device.state);
    Walk(archive, device.pending);
    archive.Text(device.error, MaxDeviceText(devices.size()));
    archive.Text(device.in_use_by, MaxDeviceText(devices.size()));
    Walk(archive, device.settled);
    Walk(archive, device.reset);
  }
}

template <typename Archive>
void Walk(Archive& archive, Request::Call& call) {
  WalkEnum(archive, call, Request::Call::kQuery, Request::Call::kReset);
}

template <typename Archive>
void Walk(Archive& archive, Request& request) {
  Walk(archive, request.call);
  WalkEnum(archive, request.mode, cc::Mode::kOff, cc::Mode::kPpcie);
  Walk(archive, request.ask_firmware);
  // One message for one meaning.
  archive.Demand(request.call == Request::Call::kQuery || !request.ask_firmware);
}

template <typename Archive>
void Walk(Archive& archive, Survey& survey) {
  Walk(archive, survey.admission);
  Walk(archive, survey.busy);
  Walk(archive, survey.settled);
  Walk(archive, survey.devices);
}

template <typename Archive>
void Walk(Archive& archive, Progress& progress) {
  Walk(archive, progress.status);
  Walk(archive, progress.devices);
  Walk(archive, progress.written);
  Walk(archive, progress.open);
  Walk(archive, progress.arm);
  Walk(archive, progress.reset);
}

absl::Status& StatusOf(Survey& survey) { return survey.admission; }
absl::Status& StatusOf(Progress& progress) { return progress.status; }

template <typename Answer>
absl::StatusOr<std::string> EncodeAnswer(Request::Call call, Answer answer) {
  if (answer.devices.size() > kMaxDevices) {
    const size_t count = answer.devices.size();
    answer = {};
    StatusOf(answer) = Error(absl::StatusCode::kResourceExhausted,
                             "this machine has {} GPUs and NVSwitches; at most {} can be operated",
                             count, kMaxDevices);
  }
  Writer writer;
  Walk(writer, call);
  Walk(writer, answer);
  if (writer.good()) return writer.Take();
  return absl::InternalError("an answer that cannot be written");
}

template <typename Answer>
absl::StatusOr<Answer> DecodeAnswer(Request::Call call, std::string_view message) {
  Reader reader(message);
  Request::Call answered{};
  Answer answer;
  Walk(reader, answered);
  Walk(reader, answer);
  if (reader.good() && answered == call) return answer;
  return absl::DataLossError("the hardware side gave an answer that makes no sense");
}

}  // namespace

std::string Encode(const Request& request) {
  Writer writer;
  Request copy = request;
  Walk(writer, copy);
  return writer.Take();
}

absl::StatusOr<Request> DecodeRequest(std::string_view message) {
  Reader reader(message);
  Request request;
  Walk(reader, request);
  if (reader.good()) return request;
  return absl::DataLossError("a request that makes no sense");
}

absl::StatusOr<std::string> Encode(Request::Call call, const Survey& survey) {
  return EncodeAnswer(call, survey);
}

absl::StatusOr<std::string> Encode(Request::Call call, const Progress& progress) {
  return EncodeAnswer(call, progress);
}

absl::StatusOr<Survey> DecodeSurvey(Request::Call call, std::string_view message) {
  return DecodeAnswer<Survey>(call, message);
}

absl::StatusOr<Progress> DecodeProgress(Request::Call call, std::string_view message) {
  return DecodeAnswer<Progress>(call, message);
}

}  // namespace gpuhost::cc_manager
