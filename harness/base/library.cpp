#include "harness/base/library.hpp"

#include <dlfcn.h>

#include <cstdlib>

#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

// Where to look before the system's own places.
std::vector<std::string> folders() {
  const char* path = std::getenv("CHOKEPOINT_LIBRARY_PATH");
  return path == nullptr || *path == '\0' ? std::vector<std::string>{} : split(path, ':');
}

}  // namespace

std::optional<Library> Library::open(std::span<const std::string> names) {
  for (const std::string& name : names) {
    for (const std::string& folder : folders())
      if (void* handle = ::dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL))
        return Library(handle, folder + "/" + name);
    if (void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return Library(handle, name);
  }
  return std::nullopt;
}

void* Library::address_of(const char* symbol) const { return ::dlsym(handle_, symbol); }

}  // namespace chokepoint
