// What programs that travel bring themselves, because the distribution's static libraries do not have it or ask for more
// than an older machine has.
#include <fmt/format.h>
#include <sys/random.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

// fmt's compiled part, which the distribution has only as a shared library: what is used here, and every inline
// function, which -fkeep-inline-functions keeps.
[[gnu::used]] static std::string use_fmt() {
  fmt::print(stderr, "{}", 1);
  return fmt::format("{} {} {:L} {:L}", 1.5, 1.5F, 100000, 1.5);
}

// libstdc++'s random_device asks for this, which C's library has from 2.36 on; nothing here makes one.
extern "C" std::uint32_t arc4random() {
  std::uint32_t bits = 0;
  if (getrandom(&bits, sizeof bits, 0) != static_cast<ssize_t>(sizeof bits)) std::abort();
  return bits;
}
