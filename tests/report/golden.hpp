// Compares a text with a file in tests/golden. CHOKEPOINT_WRITE_GOLDEN=1 in the environment writes the file instead (and
// the test fails, so that nobody forgets to read what was written).
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "harness/base/files.hpp"

namespace chokepoint::test {

inline void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(CHOKEPOINT_SOURCE_DIR) + "/tests/golden/" + name;
  if (std::getenv("CHOKEPOINT_WRITE_GOLDEN") != nullptr) {
    replace_file(path, text);
    ADD_FAILURE() << "wrote " << path;
    return;
  }
  ASSERT_TRUE(std::filesystem::exists(path)) << path << " is missing; CHOKEPOINT_WRITE_GOLDEN=1 writes it";
  EXPECT_EQ(read_file(path), text) << path;
}

}  // namespace chokepoint::test
