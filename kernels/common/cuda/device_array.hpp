// How does a kernel keep arrays in the memory of its device? Owned, filled from host tensors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "harness/base/tensor.hpp"
#include "harness/device/device.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Device& device, std::int64_t bytes)  // contents are undefined
      : memory_(device.allocate(static_cast<std::size_t>(bytes))), bytes_(bytes) {}
  DeviceArray(std::shared_ptr<void> memory, std::int64_t bytes) : memory_(std::move(memory)), bytes_(bytes) {}
  DeviceArray(Device& device, const void* from, std::int64_t bytes) : DeviceArray(device, bytes) {
    if (bytes > 0) device.upload(memory_.get(), from, static_cast<std::size_t>(bytes));
  }
  DeviceArray(Device& device, const Tensor& tensor) : DeviceArray(device, tensor.data(), tensor.bytes()) {}

  std::int64_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_.get());
  }

 private:
  std::shared_ptr<void> memory_;
  std::int64_t bytes_ = 0;
};

// A launch whose output lives in the memory of its device. `run` enqueues on the device's streams, allocates
// nothing and never blocks, so that it can be captured into a graph.
class DeviceLaunch : public Launch {
 public:
  // `host` has the dimensions and dtype of the output.
  DeviceLaunch(Device& device, Tensor host)
      : device_(device), host_(std::move(host)), output_(device, host_.bytes()) {}

  Tensor& output() final {
    device_.download(host_.data(), output_.as<void>(), static_cast<std::size_t>(host_.bytes()));
    return host_;
  }
  Tensor& output_rows(std::span<const std::int64_t> rows) final {
    const std::int64_t row_bytes = host_.bytes() / std::max<std::int64_t>(1, host_.count()) * host_.dims().back();
    for (std::size_t first = 0, next = 0; first < rows.size(); first = next) {  // neighbours together
      for (next = first + 1; next < rows.size() && rows[next] == rows[next - 1] + 1;) ++next;
      const std::int64_t begin = rows[first] * row_bytes;
      device_.download(host_.data() + begin, output_.as<std::byte>() + begin, (next - first) * static_cast<std::size_t>(row_bytes));
    }
    return host_;
  }
  std::optional<DeviceBytes> output_on_device() const final {
    return DeviceBytes{output_.as<void>(), static_cast<std::size_t>(host_.bytes())};
  }
  // All bits set: NaN in every floating-point dtype.
  void poison() final { device_.set_bytes(output_.as<void>(), 0xff, static_cast<std::size_t>(host_.bytes())); }

 protected:
  Device& device() const { return device_; }
  void* stream(Lane lane = Lane::compute) const { return device_.stream(lane); }
  template <class T>
  T* output_data() const {
    return output_.as<T>();
  }

 private:
  Device& device_;
  Tensor host_;
  DeviceArray output_;
};

}  // namespace chokepoint
