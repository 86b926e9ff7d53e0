// SPDX-License-Identifier: Apache-2.0
#include "daemons/cc-manager/hardware_messages.h"

#include <catch2/catch.hpp>
#include <random>

#include "libgpuhost/base/status.h"

using namespace gpuhost;
using namespace gpuhost::cc_manager;
using Call = Request::Call;

namespace {

Survey SomeSurvey() {
  return {
      .admission = absl::FailedPreconditionError("0000:02:00.0: in use by qemu (pid 3)"),
      .busy = true,
      .settled = false,
      .devices = {{.bdf = {1, 2, 3, 4}, .state = cc::State::kOn, .pending = cc::State::kInvalid},
                  {.bdf = {0x10000, 0xff, 31, 7}, .error = "dead", .in_use_by = "qemu (pid 3)"}}};
}

Progress SomeProgress() {
  return {.status = absl::DataLossError("gone"),
          .devices = {{.bdf = {0, 1, 0, 0}, .state = cc::State::kPpcie, .reset = true}},
          .open = Duration(1),
          .arm = Duration(0),
          .reset = std::chrono::seconds(3)};
}

void CheckSame(const std::vector<DeviceView>& a, const std::vector<DeviceView>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].bdf == b[i].bdf);
    CHECK(a[i].state == b[i].state);
    CHECK(a[i].pending == b[i].pending);
    CHECK(a[i].error == b[i].error);
    CHECK(a[i].in_use_by == b[i].in_use_by);
    CHECK(a[i].reset == b[i].reset);
  }
}

}  // namespace

TEST_CASE("what one side says the other understands") {
  for (const Call call : {Call::kQuery, Call::kArm, Call::kDisarm, Call::kReset}) {
    const Request request{call, cc::Mode::kPpcie, call == Call::kQuery};
    CHECK(DecodeRequest(Encode(request)).value() == request);
  }
  const Survey survey = SomeSurvey();
  const Survey heard = DecodeSurvey(Call::kQuery, Encode(Call::kQuery, survey).value()).value();
  CHECK(heard.admission == survey.admission);
  CHECK(heard.busy == survey.busy);
  CHECK(heard.settled == survey.settled);
  CheckSame(heard.devices, survey.devices);

  const Progress progress = SomeProgress();
  const auto told = DecodeProgress(Call::kArm, Encode(Call::kArm, progress).value()).value();
  CHECK(told.status == progress.status);
  CHECK(told.open == progress.open);
  CHECK(told.arm == progress.arm);
  CHECK(told.reset == progress.reset);
  CheckSame(told.devices, progress.devices);
}

TEST_CASE("no request but a query asks the firmware, and none asks for force") {
  for (const Call call : {Call::kArm, Call::kDisarm, Call::kReset}) {
    std::string request = Encode(Request{.call = call});
    CHECK(request.size() == 3);  // call, mode, ask_firmware
    request.back() = 1;
    CHECK_FALSE(DecodeRequest(request).ok());
  }
}

TEST_CASE("an answer to another call is no answer") {
  CHECK_FALSE(DecodeProgress(Call::kReset, Encode(Call::kArm, SomeProgress()).value()).ok());
  CHECK_FALSE(DecodeProgress(Call::kQuery, Encode(Call::kQuery, SomeSurvey()).value()).ok());
  CHECK_FALSE(DecodeRequest(Encode(Call::kArm, SomeProgress()).value()).ok());
}

TEST_CASE("a message that is cut or too long is refused") {
  const std::string request = Encode(Request{Call::kArm, cc::Mode::kOn, false});
  const std::string survey = Encode(Call::kQuery, SomeSurvey()).value();
  const std::string progress = Encode(Call::kArm, SomeProgress()).value();
  for (size_t size = 0; size < request.size(); ++size) {
    CHECK_FALSE(DecodeRequest(request.substr(0, size)).ok());
  }
  for (size_t size = 0; size < survey.size(); ++size) {
    CHECK_FALSE(DecodeSurvey(Call::kQuery, survey.substr(0, size)).ok());
  }
  for (size_t size = 0; size < progress.size(); ++size) {
    CHECK_FALSE(DecodeProgress(Call::kArm, progress.substr(0, size)).ok());
  }
  CHECK_FALSE(DecodeRequest(request + '\0').ok());
  CHECK_FALSE(DecodeSurvey(Call::kQuery, survey + '\0').ok());
  CHECK_FALSE(DecodeProgress(Call::kArm, std::string(kMaxMessage + 1, '\1')).ok());
}

TEST_CASE("values that do not exist are refused") {
  std::string request = Encode(Request{Call::kArm, cc::Mode::kOn, false});
  for (size_t i = 0; i < request.size(); ++i) {
    CAPTURE(i);
    std::string wrong = request;
    wrong[i] = 5;  // no call, no mode, no boolean
    CHECK_FALSE(DecodeRequest(wrong).ok());
  }
  Progress negative = SomeProgress();
  negative.open = Duration(-1);
  CHECK_FALSE(Encode(Call::kArm, negative).ok());
}

// Whatever decodes must be what would be encoded: no two messages mean the same.
TEST_CASE("damaged messages never crash, and what still decodes is exact") {
  std::mt19937 random(1);
  const std::string survey = Encode(Call::kQuery, SomeSurvey()).value();
  const std::string progress = Encode(Call::kArm, SomeProgress()).value();
  int decoded = 0;
  for (int round = 0; round < 20000; ++round) {
    for (const std::string& good : {survey, progress}) {
      std::string bad = good;
      for (unsigned i = 0; i <= random() % 3; ++i) {
        bad[random() % bad.size()] = static_cast<char>(random());
      }
      if (random() % 4 == 0) bad.resize(random() % (2 * bad.size()), '\1');
      DecodeRequest(bad).status().IgnoreError();
      if (const auto heard = DecodeSurvey(Call::kQuery, bad); heard.ok()) {
        ++decoded;
        REQUIRE(Encode(Call::kQuery, *heard).value() == bad);
      }
      if (const auto heard = DecodeProgress(Call::kArm, bad); heard.ok()) {
        ++decoded;
        REQUIRE(Encode(Call::kArm, *heard).value() == bad);
      }
    }
  }
  CHECK(decoded > 100);
}

TEST_CASE("the largest answers fit, texts are cut and cleaned") {
  const size_t count = GENERATE(size_t{64}, size_t{65}, kMaxDevices);
  Survey survey{.admission = absl::InternalError(std::string(100'000, '"'))};
  for (size_t i = 0; i < count; ++i) {
    survey.devices.push_back(
        {.bdf = {static_cast<uint32_t>(i >> 8), static_cast<uint8_t>(i & 0xff), 0, 0},
         .error = std::string(5000, 'x'),
         .in_use_by = std::string(5000, '\n') + "\xff"});
  }
  const auto message = Encode(Call::kQuery, survey);
  REQUIRE(message.ok());
  CHECK(message->size() <= kMaxMessage);
  const Survey heard = DecodeSurvey(Call::kQuery, *message).value();
  REQUIRE(heard.devices.size() == count);
  const size_t limit = count == 64 ? 800 : count == 65 ? 787 : 100;
  CHECK(heard.devices[63].error == std::string(limit, 'x'));
  CHECK(heard.devices[63].in_use_by == std::string(limit, '?'));
}

TEST_CASE("a machine with more devices than fit is told, and is no reason to end") {
  Survey survey{.settled = true, .devices = std::vector<DeviceView>(kMaxDevices + 1)};
  const Survey heard = DecodeSurvey(Call::kQuery, Encode(Call::kQuery, survey).value()).value();
  CHECK(absl::IsResourceExhausted(heard.admission));
  CHECK(Text(heard.admission).find("has 513 GPUs") != std::string::npos);
  CHECK_FALSE(heard.settled);
  CHECK(heard.devices.empty());
  const Progress progress{.devices = survey.devices};
  CHECK(absl::IsResourceExhausted(
      DecodeProgress(Call::kArm, Encode(Call::kArm, progress).value())->status));
}
