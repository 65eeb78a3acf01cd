// fmt's compiled part, from its headers: for programs that travel, where the distribution has it only as a shared
// library. What other files ask for is what is used here and every inline function, which -fkeep-inline-functions keeps.
#include <fmt/format.h>

#include <cstdio>
#include <string>

[[gnu::used]] static std::string use() {
  fmt::print(stderr, "{}", 1);
  return fmt::format("{} {} {:L} {:L}", 1.5, 1.5F, 100000, 1.5);
}
