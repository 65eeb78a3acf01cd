// What is an array, to everyone? Owned, 64-byte aligned, row-major host memory with a role, dimensions and a dtype.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/base/dtype.hpp"

namespace chokepoint {

class Tensor {
 public:
  Tensor() = default;
  // Contents start as zero. `layout` says in words what dimensions mean, e.g. "[m, k] row-major".
  Tensor(std::string role, std::vector<std::int64_t> dims, Dtype dtype, std::string layout = "");
  Tensor(const Tensor& other);
  Tensor& operator=(const Tensor& other);
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;
  ~Tensor() = default;

  const std::string& role() const { return role_; }
  const std::vector<std::int64_t>& dims() const { return dims_; }
  Dtype dtype() const { return dtype_; }
  const std::string& layout() const { return layout_; }
  std::int64_t count() const { return count_; }
  std::int64_t bytes() const { return count_ * bytes_of(dtype_); }
  bool empty() const { return count_ == 0; }

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }

  // Typed view; T has to have the size of the dtype (uint16_t for bf16, uint8_t for fp8_e4m3).
  template <class T>
  std::span<T> as() {
    check_size(sizeof(T));
    return {reinterpret_cast<T*>(data_.get()), static_cast<std::size_t>(count_)};
  }
  template <class T>
  std::span<const T> as() const {
    check_size(sizeof(T));
    return {reinterpret_cast<const T*>(data_.get()), static_cast<std::size_t>(count_)};
  }

  double at(std::int64_t index) const;          // any dtype, as a number
  void set(std::int64_t index, double value);   // rounds to the dtype
  void poison();                                // every element NaN (integers: the smallest): unwritten output shows

 private:
  struct Free {
    void* allocated;  // where the allocation that holds the data begins
    void operator()(std::byte* data) const;
  };
  void check_size(std::size_t size) const;

  std::string role_;
  std::vector<std::int64_t> dims_;
  Dtype dtype_ = Dtype::f32;
  std::string layout_;
  std::int64_t count_ = 0;
  std::unique_ptr<std::byte, Free> data_;
};

// NumPy .npy version 1.0 of the tensor; bf16 as uint16 bits and fp8 as uint8 bits. Throws Error{io}.
void write_npy(const std::string& path, const Tensor& tensor);

}  // namespace chokepoint
