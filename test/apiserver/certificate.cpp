// SPDX-License-Identifier: Apache-2.0
#include "test/apiserver/certificate.h"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace gpuhost::apiserver {
namespace {

constexpr long kVersion3 = 2;

void AddExtension(X509* x509, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  X509_add_ext(x509, extension, -1);
  X509_EXTENSION_free(extension);
}

std::string ToPem(X509* x509) {
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(memory, x509);
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory, &text);
  std::string pem(text, static_cast<size_t>(size));
  BIO_free(memory);
  return pem;
}

}  // namespace

Certificate::Certificate(const std::string& name)
    : key(EVP_EC_gen("P-256"), &EVP_PKEY_free), x509(X509_new(), &X509_free) {
  X509_set_version(x509.get(), kVersion3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x509.get()), 86400);
  X509_set_pubkey(x509.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(x509.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509.get(), subject);
  AddExtension(x509.get(), NID_subject_alt_name, "IP:127.0.0.1,DNS:scripted");
  AddExtension(x509.get(), NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(x509.get(), key.get(), EVP_sha256());
  pem = ToPem(x509.get());
}

std::string Certificate::NameInDirectory() const {
  return fmt::format("{:08x}.0", X509_subject_name_hash(x509.get()));
}

}  // namespace gpuhost::apiserver
