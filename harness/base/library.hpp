// How is an optional shared library used without needing it at build time or at start? Opened at run time, by
// name.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

namespace chokepoint {

class Library {
 public:
  // The first of `names` that opens; empty when none does. Folders in the environment's
  // CHOKEPOINT_LIBRARY_PATH (colons between them) come before the system's places. It stays open until the
  // process ends: libraries with threads of their own do not survive being closed.
  static std::optional<Library> open(std::span<const std::string> names);

  // Null when the library lacks it.
  template <class Function>
  Function* find(const char* symbol) const {
    return reinterpret_cast<Function*>(address_of(symbol));
  }

  // Points `function` at `symbol`. Where the library lacks it, null, and `missing` names the first such one
  // and the remedy.
  template <class Function>
  void bind(Function*& function, const char* symbol, std::string& missing) const {
    function = find<Function>(symbol);
    if (function == nullptr && missing.empty())
      missing = name_ + " lacks " + symbol + "; install a newer version of it";
  }

  const std::string& name() const { return name_; }

 private:
  Library(void* handle, std::string name) : handle_(handle), name_(std::move(name)) {}
  void* address_of(const char* symbol) const;

  void* handle_;
  std::string name_;
};

// A library that some part of this build uses when it is there, for `doctor`; registered from the file that
// uses it.
struct OptionalLibrary {
  std::string name;
  std::function<std::string()> describe;  // version and file, or what is missing with the remedy
};

}  // namespace chokepoint
