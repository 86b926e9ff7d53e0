// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <catch2/catch.hpp>

#include "libgpuhost/base/clock.h"
#include "libgpuhost/base/status.h"
#include "libgpuhost/base/unique_fd.h"
#include "test/fake/fake_clock.h"

using namespace gpuhost;
using std::chrono::seconds;

namespace {

int OpenNull() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace

TEST_CASE("a descriptor has one owner") {
  UniqueFd a(OpenNull()), b(OpenNull());
  const int raw_a = a.get(), raw_b = b.get();
  a = std::move(b);
  CHECK_FALSE(IsOpen(raw_a));
  CHECK(a.get() == raw_b);
  CHECK_FALSE(b);
  UniqueFd& self = a;
  a = std::move(self);
  CHECK(IsOpen(raw_b));
  a.Reset();
  CHECK_FALSE(IsOpen(raw_b));
}

TEST_CASE("polling looks at once, then until the limit, with a last look") {
  fake::FakeClock clock;
  int looks = 0;
  CHECK(PollUntil(clock, seconds(5), seconds(1), [&] {
          return absl::StatusOr<bool>(++looks == 3);
        }).ok());
  CHECK(looks == 3);

  looks = 0;
  const auto never = [&]() -> absl::StatusOr<bool> {
    ++looks;
    return false;
  };
  CHECK(absl::IsDeadlineExceeded(PollUntil(clock, seconds(5), seconds(2), never)));
  CHECK(looks == 4);  // at 0, 2, 4 and 6 s

  const auto broken = []() -> absl::StatusOr<bool> { return absl::DataLossError("x"); };
  CHECK(absl::IsDataLoss(PollUntil(clock, seconds(5), seconds(1), broken)));
}

TEST_CASE("a status keeps the class of the errno and tells what was tried") {
  CHECK(absl::IsNotFound(ErrnoStatus(ENODEV, "x")));
  CHECK(absl::IsFailedPrecondition(ErrnoStatus(EBUSY, "x")));
  CHECK(absl::IsPermissionDenied(ErrnoStatus(EPERM, "x")));
  CHECK(absl::IsPermissionDenied(ErrnoStatus(EROFS, "x")));
  CHECK(Text(ErrnoStatus(EBUSY, "write 'a' to /b")) == "write 'a' to /b: Device or resource busy");
  CHECK(Text(Annotate(absl::AbortedError("b"), "a")) == "a: b");
  CHECK(Annotate(absl::OkStatus(), "a").ok());
}
