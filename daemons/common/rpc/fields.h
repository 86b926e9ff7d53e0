// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gpuhost::rpc {

// A field of a protobuf message. Source: protobuf, Encoding.
struct Field {
  uint64_t number = 0;
  std::string bytes;  // of a length-delimited one
};

// The fields of `message` in their order, as far as it is one: what is cut off or unknown ends the
// list.
std::vector<Field> FieldsOf(std::string_view message);

// The bytes of the first field of this number; empty when there is none.
std::string FieldOf(std::string_view message, uint64_t number);

}  // namespace gpuhost::rpc
