// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace gpuhost::apiserver {

// A fresh key with a certificate for 127.0.0.1 that vouches for itself, for one day.
struct Certificate {
  explicit Certificate(const std::string& name = "scripted-api-server");

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key;
  std::unique_ptr<X509, decltype(&X509_free)> x509;
  std::string pem;
  // Its file name in a directory of authorities as OpenSSL wants it: made of its name alone.
  std::string NameInDirectory() const;
};

}  // namespace gpuhost::apiserver
