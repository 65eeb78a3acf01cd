// How fast is the grouped expert matmul, against a dense matmul of the same FLOP? And what do the steps
// around it cost?
//
//   bench_moe [rows hidden intermediate experts]     512 1024 2048 8 and 512 2048 2048 8 unless given
// Ragged groups with the spread of a zipf routing. Figures are ratios of medians from one interleaved run;
// goal 0.80.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "harness/base/random.hpp"
#include "kernels/common/gemm.hpp"
#include "kernels/moe_layer/expert_mlp.hpp"
#include "kernels/moe_layer/imposed_ids.hpp"
#include "tests/bench/interleave.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

struct Size {
  std::int64_t rows, hidden, intermediate, experts;
};

// Both products of an mlp, grouped or dense, on the same weights and rows.
class Products {
 public:
  Products(const Size& size, Dtype dtype) : size_(size), dtype_(dtype) {
    x_ = make("x", {size.rows, size.hidden});
    up_ = make("up", {size.experts, 2 * size.intermediate, size.hidden});
    h_ = make("h", {size.rows, size.intermediate});
    down_ = make("down", {size.experts, size.hidden, size.intermediate});
    gate_up_ = Tensor("gate_up", {size.rows, 2 * size.intermediate}, Dtype::f32);
    y_ = Tensor("y", {size.rows, size.hidden}, Dtype::f32);
    const std::vector<std::int32_t> ids = moe::zipf_ids({.experts = size.experts, .top_k = 1}, size.rows);
    begin_.assign(static_cast<std::size_t>(size.experts) + 1, 0);
    for (std::int32_t id : ids) begin_[static_cast<std::size_t>(id) + 1] += 1;
    for (std::size_t e = 1; e < begin_.size(); ++e) begin_[e] += begin_[e - 1];
    for (std::int64_t row = 0; row < size.rows; ++row)  // gathered from all over, as arrivals are
      row_ids_.push_back(static_cast<std::int32_t>(row * 37 % size.rows));
  }

  const std::vector<std::int64_t>& begin() const { return begin_; }

  void grouped() {
    grouped(x_, up_, gate_up_, row_ids_.data());
    grouped(h_, down_, y_, nullptr);
  }

  void dense() {
    gemm::gemm(left(x_, 0, size_.rows), right(up_, 0), to(gate_up_, 0), {}, 0.0);
    gemm::gemm(left(h_, 0, size_.rows), right(down_, 0), to(y_, 0), {}, 0.0);
  }

 private:
  Tensor make(const std::string& role, std::vector<std::int64_t> dims) const {
    Tensor tensor(role, std::move(dims), dtype_);
    fill(tensor, "normal", 1, 0.1);
    return tensor;
  }
  gemm::Matrix left(const Tensor& t, std::int64_t row, std::int64_t rows) const {
    const std::int64_t cols = t.dims()[1];
    return {.data = t.data() + row * cols * bytes_of(dtype_),
            .dtype = dtype_,
            .rows = rows,
            .cols = cols,
            .row_stride = cols};
  }
  gemm::Matrix right(const Tensor& t, std::int64_t index) const {
    const std::int64_t n = t.dims()[1], k = t.dims()[2];
    return {.data = t.data() + index * n * k * bytes_of(dtype_),
            .dtype = dtype_,
            .rows = k,
            .cols = n,
            .row_stride = 1,
            .col_stride = k};
  }
  static gemm::Destination to(Tensor& t, std::int64_t row) {
    return {t.as<float>().data() + row * t.dims()[1], Dtype::f32, t.dims()[1]};
  }
  void grouped(const Tensor& a, const Tensor& b, Tensor& c, const std::int32_t* row_ids) const {
    std::vector<gemm::Group> groups;
    for (std::int64_t e = 0; e < size_.experts; ++e) {
      const std::int64_t first = begin_[static_cast<std::size_t>(e)],
                         count = begin_[static_cast<std::size_t>(e) + 1] - first;
      if (count == 0) continue;
      gemm::Group group{
          .a = left(a, row_ids != nullptr ? 0 : first, count), .b = right(b, e), .c = to(c, first)};
      if (row_ids != nullptr) group.a.row_ids = row_ids + first;
      groups.push_back(group);
    }
    gemm::grouped_gemm(groups.data(), std::ssize(groups), {}, 0.0);
  }

  Size size_;
  Dtype dtype_;
  Tensor x_, up_, h_, down_, gate_up_, y_;
  std::vector<std::int64_t> begin_;
  std::vector<std::int32_t> row_ids_;
};

void compare(const Size& size, Dtype dtype) {
  Products products(size, dtype);
  const double flop = 6.0 * static_cast<double>(size.rows * size.hidden * size.intermediate);
  const Shape shape =
      parse_shape(fmt::format("tokens={},hidden={},intermediate={},experts={},top_k=1,routing=zipf",
                              size.rows, size.hidden, size.intermediate, size.experts));
  Prepared layer("moe_layer", "cpu_native", shape, dtype);
  std::vector<bench::Contender> contenders;
  contenders.push_back({"dense matmuls", [&] { products.dense(); }});
  contenders.push_back({"grouped matmuls", [&] { products.grouped(); }});
  contenders.push_back({"moe_layer, all steps", [&] { layer.launch->run(); }});
  bench::interleave(contenders, 3.0);
  std::string groups;
  for (std::size_t e = 1; e < products.begin().size(); ++e)
    groups += fmt::format(" {}", products.begin()[e] - products.begin()[e - 1]);
  fmt::print("{} rows of {} in groups of{}, intermediate {}, {}\n", size.rows, size.hidden, groups,
             size.intermediate, to_string(dtype));
  for (const bench::Contender& contender : contenders)
    fmt::print("  {:<22} {:8.2f} ms {:8.1f} GFLOP/s   {:5.2f} of dense\n", contender.name,
               contender.median_s() * 1e3, flop / contender.median_s() / 1e9,
               contenders[0].median_s() / contender.median_s());
}

}  // namespace
}  // namespace chokepoint

int main(int count, char** words) {
  using chokepoint::Dtype;
  std::vector<chokepoint::Size> sizes = {{512, 1024, 2048, 8}, {512, 2048, 2048, 8}};
  if (count == 5)
    sizes = {{std::atoll(words[1]), std::atoll(words[2]), std::atoll(words[3]), std::atoll(words[4])}};
  if (count != 5 && count != 1)
    return fmt::print(stderr, "usage: bench_moe [rows hidden intermediate experts]\n"), 2;
  for (const chokepoint::Size& size : sizes)
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) chokepoint::compare(size, dtype);
}
