// SPDX-License-Identifier: Apache-2.0
#include "daemons/common/rpc/fields.h"

#include <algorithm>

namespace gpuhost::rpc {

std::vector<Field> FieldsOf(std::string_view message) {
  std::vector<Field> fields;
  size_t at = 0;
  const auto varint = [&]() {
    uint64_t value = 0;
    for (int shift = 0; at < message.size() && shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(message[at++]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < message.size()) {
    const uint64_t key = varint();
    Field field{.number = key >> 3, .bytes = {}};
    switch (key & 7) {
      case 0:
        varint();
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const uint64_t length = varint();
        if (length > message.size() - std::min(at, message.size())) return fields;
        field.bytes = message.substr(at, length);
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        return fields;
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

std::string FieldOf(std::string_view message, uint64_t number) {
  for (Field& field : FieldsOf(message)) {
    if (field.number == number) return std::move(field.bytes);
  }
  return "";
}

}  // namespace gpuhost::rpc
