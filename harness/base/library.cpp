#include "harness/base/library.hpp"

#include <dlfcn.h>

namespace chokepoint {

std::optional<Library> Library::open(std::span<const std::string> names) {
  for (const std::string& name : names)
    if (void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return Library(handle, name);
  return std::nullopt;
}

void* Library::address_of(const char* symbol) const { return ::dlsym(handle_, symbol); }

}  // namespace chokepoint
