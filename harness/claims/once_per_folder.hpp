// How is a folder's data read once although every draw, what-if and curve asks for it again?
#pragma once

#include <map>
#include <mutex>
#include <string>

namespace chokepoint {

// What `load` read from `configs` the first time it was asked. One memory per type and program.
template <class T>
const T& once_per_folder(const std::string& configs, T (*load)(const std::string&)) {
  static std::mutex mutex;
  static std::map<std::string, T> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find(configs);
  return found != known.end() ? found->second : known.emplace(configs, load(configs)).first->second;
}

}  // namespace chokepoint
