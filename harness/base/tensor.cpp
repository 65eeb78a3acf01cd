#include "harness/base/tensor.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"

namespace chokepoint {
namespace {
constexpr std::size_t kAlignment = 64;  // a cache line, and the widest vector of x86
}

void Tensor::Free::operator()(std::byte*) const { std::free(allocated); }

Tensor::Tensor(std::string role, std::vector<std::int64_t> dims, Dtype dtype, std::string layout)
    : role_(std::move(role)), dims_(std::move(dims)), dtype_(dtype), layout_(std::move(layout)), count_(1) {
  for (std::int64_t dim : dims_)
    if (dim < 0 || __builtin_mul_overflow(count_, dim, &count_) || count_ > (std::int64_t{1} << 48))
      throw Error(Fault::config, fmt::format("array \"{}\" is too large or has a negative dimension", role_),
                  "make the shape smaller");
  // Zeroed by the system when touched: what is never read costs nothing. One line more, for vectors that read past it.
  std::size_t room = static_cast<std::size_t>(bytes()) + 2 * kAlignment;
  void* const allocated = std::calloc(room, 1);
  if (allocated == nullptr)
    throw Error(Fault::device, fmt::format("no memory for array \"{}\" of {} bytes", role_, bytes()),
                "make the shape smaller");
  void* data = allocated;
  std::align(kAlignment, static_cast<std::size_t>(bytes()) + kAlignment, data, room);
  data_ = {static_cast<std::byte*>(data), Free{allocated}};
}

Tensor::Tensor(const Tensor& other) { *this = other; }

Tensor& Tensor::operator=(const Tensor& other) {
  if (this == &other) return *this;
  Tensor copy(other.role_, other.dims_, other.dtype_, other.layout_);
  if (other.data_ && !other.dims_.empty())
    std::memcpy(copy.data_.get(), other.data_.get(), static_cast<std::size_t>(bytes_of(other.dtype_) * other.count_));
  else
    copy.count_ = other.count_;
  return *this = std::move(copy);
}

void Tensor::check_size(std::size_t size) const {
  if (size != static_cast<std::size_t>(bytes_of(dtype_)))
    throw Error(Fault::device, fmt::format("array \"{}\" holds {}, not {}-byte values", role_, to_string(dtype_), size),
                "view it with the type of its dtype");
}

double Tensor::at(std::int64_t index) const {
  const auto i = static_cast<std::size_t>(index);
  switch (dtype_) {
    case Dtype::f32: return as<float>()[i];
    case Dtype::bf16: return float_from_bf16(as<std::uint16_t>()[i]);
    case Dtype::fp8_e4m3: return float_from_fp8_e4m3(as<std::uint8_t>()[i]);
    case Dtype::i32: return as<std::int32_t>()[i];
    case Dtype::f64: return as<double>()[i];
  }
  return std::numeric_limits<double>::quiet_NaN();
}

void Tensor::set(std::int64_t index, double value) {
  const auto i = static_cast<std::size_t>(index);
  switch (dtype_) {
    case Dtype::f32: as<float>()[i] = static_cast<float>(value); break;
    case Dtype::bf16: as<std::uint16_t>()[i] = bf16_from_float(static_cast<float>(value)); break;
    case Dtype::fp8_e4m3: as<std::uint8_t>()[i] = fp8_e4m3_from_float(static_cast<float>(value)); break;
    case Dtype::i32: as<std::int32_t>()[i] = static_cast<std::int32_t>(value); break;
    case Dtype::f64: as<double>()[i] = value; break;
  }
}

void Tensor::poison() {
  if (empty()) return;
  if (dtype_ == Dtype::i32) {
    for (std::int32_t& value : as<std::int32_t>()) value = std::numeric_limits<std::int32_t>::min();
    return;
  }
  // All bits set is NaN in every float dtype here.
  std::memset(data_.get(), 0xff, static_cast<std::size_t>(bytes()));
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const char* type = tensor.dtype() == Dtype::f32    ? "<f4"
                     : tensor.dtype() == Dtype::f64  ? "<f8"
                     : tensor.dtype() == Dtype::i32  ? "<i4"
                     : tensor.dtype() == Dtype::bf16 ? "<u2"
                                                     : "|u1";
  std::string shape;
  for (std::int64_t dim : tensor.dims()) shape += fmt::format("{},", dim);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, shape);
  header.append(63 - (10 + header.size()) % 64, ' ');  // magic (10) + header ends on a multiple of 64
  header += '\n';
  std::string content("\x93NUMPY\x01\x00", 8);
  content += static_cast<char>(header.size() & 0xff);
  content += static_cast<char>(header.size() >> 8);
  content += header;
  content.append(reinterpret_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes()));
  replace_file(path, content);
}

}  // namespace chokepoint
