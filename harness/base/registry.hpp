// Which parts does this program have? Parts register themselves from their own file; nothing else lists them.
//
//   const Register<Kernel> kernel{{.name = "cpu_native", .operation = "matmul", ...}};
//
// Registration happens before main, where nothing may throw: faults (an empty name, a name used twice, a name that
// is not its file's stem) are collected, and main reports them.
#pragma once

#include <source_location>
#include <string>
#include <string_view>
#include <vector>

namespace chokepoint {

// The key of a part among its kind. A kind whose names repeat (kernels, one set per operation) overloads this.
template <class T>
std::string registry_key(const T& entry) {
  return entry.name;
}

// File name without folders and extension: "kernels/matmul/cpu_native.cpp" -> "cpu_native".
std::string file_stem(std::string_view path);

// Faults of all registries of the program, one sentence each; empty when all is well.
std::vector<std::string>& registry_faults();

template <class T>
class Registry {
 public:
  static Registry& instance() {
    static Registry registry;
    return registry;
  }

  void add(T entry, const std::source_location& at) {
    const std::string key = registry_key(entry), stem = file_stem(at.file_name());
    if (entry.name.empty()) registry_faults().push_back("a part without a name is registered in " + stem);
    if (entry.name != stem)
      registry_faults().push_back("\"" + entry.name + "\" is registered from a file called " + stem +
                                  "; give both the same name");
    if (find(key)) registry_faults().push_back("\"" + key + "\" is registered twice");
    entries_.push_back(std::move(entry));
  }

  // Order of registration, which is link order: sort before printing.
  const std::vector<T>& all() const { return entries_; }

  const T* find(std::string_view key) const {
    for (const T& entry : entries_)
      if (registry_key(entry) == key) return &entry;
    return nullptr;
  }

 private:
  std::vector<T> entries_;
};

template <class T>
struct Register {
  explicit Register(T entry, const std::source_location& at = std::source_location::current()) {
    Registry<T>::instance().add(std::move(entry), at);
  }
};

}  // namespace chokepoint
