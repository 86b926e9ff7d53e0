// SPDX-License-Identifier: Apache-2.0
#include "daemons/kata-manager/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "libgpuhost/base/status.h"

namespace gpuhost::kata_manager {

struct Sha256::Context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> evp{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  EVP_DigestInit_ex(context_->evp.get(), EVP_sha256(), nullptr);
}
Sha256::~Sha256() = default;

void Sha256::Update(std::string_view bytes) {
  EVP_DigestUpdate(context_->evp.get(), bytes.data(), bytes.size());
}

std::string Sha256::Hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_->evp.get(), digest, &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string Sha256Of(std::string_view bytes) {
  Sha256 digest;
  digest.Update(bytes);
  return digest.Hex();
}

absl::Status CheckStopping(const Stopping& stopping) {
  return stopping && stopping() ? absl::CancelledError("about to end") : absl::OkStatus();
}

absl::StatusOr<std::string> Sha256OfFd(int fd, const std::string& what, const Stopping& stopping) {
  Sha256 digest;
  std::vector<char> buffer(1 << 18);
  off_t at = 0;
  while (true) {
    GPUHOST_TRY(CheckStopping(stopping));
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, fmt::format("read {}", what));
    if (got == 0) return digest.Hex();
    digest.Update(std::string_view(buffer.data(), static_cast<size_t>(got)));
    at += got;
  }
}

absl::StatusOr<std::string> Sha256OfFile(const HostFs& fs, const std::string& path,
                                         const Stopping& stopping) {
  GPUHOST_ASSIGN(const UniqueFd fd, fs.Open(path, O_RDONLY));
  return Sha256OfFd(fd.get(), path, stopping);
}

}  // namespace gpuhost::kata_manager
