// SPDX-License-Identifier: Apache-2.0
// The Catch2 runner, compiled once for all test programs.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
