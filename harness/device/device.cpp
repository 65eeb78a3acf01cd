#include "harness/device/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/device/copy_turns.hpp"

namespace chokepoint {
namespace {

class OneByOne final : public LaunchTimer {
 public:
  struct Launches {
    std::vector<std::function<void()>> all;
    CopyTurns turns{all.size()};
  };
  explicit OneByOne(std::shared_ptr<Launches> launches) : launches_(std::move(launches)) { launches_->turns.join(); }

  int launches_per_sample() const override { return 1; }
  void start_over() override { launches_->turns.start_over(); }
  std::unique_ptr<LaunchTimer> beside() override { return std::make_unique<OneByOne>(launches_); }
  const std::function<void()>& next() { return launches_->all[launches_->turns.next()]; }

 private:
  std::shared_ptr<Launches> launches_;
};

}  // namespace

std::unique_ptr<LaunchTimer> Device::timer(std::vector<std::function<void()>> launches) {
  return std::make_unique<OneByOne>(std::make_shared<OneByOne::Launches>(std::move(launches)));
}

std::vector<double> Device::time_in_turn(std::span<LaunchTimer* const> order) {
  std::vector<double> times;
  for (LaunchTimer* timer : order) {
    if (timer->before_sample) timer->before_sample(nullptr);
    times.push_back(time_s(dynamic_cast<OneByOne&>(*timer).next()));
    if (timer->after_sample) timer->after_sample(nullptr);
  }
  return times;
}

std::shared_ptr<void> Device::allocate(std::size_t bytes) {
  void* memory = std::aligned_alloc(64, (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64);
  if (memory == nullptr)
    throw Error(Fault::device, fmt::format("no memory for {} bytes", bytes), "make the shape smaller");
  return {memory, std::free};
}

void Device::upload(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
void Device::download(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
void Device::set_bytes(void* to, int value, std::size_t bytes) { std::memset(to, value, bytes); }

bool Device::same_bytes(const void* a, const void* b, std::size_t bytes) { return std::memcmp(a, b, bytes) == 0; }

void Device::enqueue_copies(std::span<const DeviceCopy> copies, void*) {
  for (const DeviceCopy& copy : copies) std::memcpy(copy.to, copy.from, copy.bytes);
}

std::unique_ptr<Restriction> Device::restrict_multiprocessors(int) {
  throw Error(Fault::unsupported, fmt::format("{} has no multiprocessors to leave out", facts().name),
              "cap compute with a kernel that charges it");
}

std::unique_ptr<LanesApart> Device::lanes_apart(int) {
  throw Error(Fault::unsupported, fmt::format("{} has no multiprocessors to divide", facts().name),
              "compare launches without overlap");
}

std::unique_ptr<BackgroundCopies> Device::background_copies() {
  throw Error(Fault::unsupported, fmt::format("{} cannot copy beside its launches", facts().name),
              "cap memory with a kernel that charges it");
}

std::unique_ptr<BackgroundTraffic> Device::background_traffic(int) {
  throw Error(Fault::unsupported, fmt::format("{} has no multiprocessors to spare", facts().name),
              "cap memory with a kernel that charges it");
}

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
