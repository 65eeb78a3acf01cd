#include "harness/device/device.hpp"

#include <fmt/format.h>

#include <charconv>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {

std::unique_ptr<Device> open_device(const std::string& name) {
  const std::size_t colon = name.find(':');
  const std::string kind = name.substr(0, colon);
  int index = 0;
  if (colon != std::string::npos) {
    const char* begin = name.data() + colon + 1;
    const char* end = name.data() + name.size();
    if (const auto [rest, fault] = std::from_chars(begin, end, index);
        fault != std::errc{} || rest != end || index < 0)
      throw Error(Fault::config, fmt::format("device \"{}\" has no number after the colon", name),
                  "write cuda:0");
  }
  if (const DeviceDriver* driver = Registry<DeviceDriver>::instance().find(kind)) return driver->open(index);
  std::vector<std::string> known;
  for (const DeviceDriver& driver : Registry<DeviceDriver>::instance().all()) known.push_back(driver.name);
  throw Error(Fault::config, fmt::format("device \"{}\" is not in this build", name),
              suggestion(kind, known));
}

}  // namespace chokepoint
