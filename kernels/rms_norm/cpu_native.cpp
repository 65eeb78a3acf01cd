// rms_norm with all workers and the widest vectors. Bound: memory.
//
// Rows are cut into tiles that workers take in turn, so that a slow worker holds nobody up. A tile is charged
// when its work begins, eight per worker ahead of the clock: 4 MiB, which hides any late wake-up. A row is
// read again from the caches once its root mean square is known; gamma is charged with the first tile, and
// stays in the caches. Stores bypass the caches once the output outgrows them and rows are whole cache lines:
// then a line would be fetched only to be overwritten, traffic that nobody counts.
#include <algorithm>
#include <atomic>

#include "harness/base/parallel.hpp"
#include "kernels/rms_norm/rms_norm.hpp"
#include "kernels/rms_norm/vector_loops.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kTileBytes = 512 * 1024;  // of traffic, or one row where that is more
constexpr std::size_t kTilesAhead = 8;
constexpr std::int64_t kBypassBytes = 1
                                      << 20;  // an output this long outgrows the second-level cache of a core
constexpr std::int64_t kLineBytes = 64;

class RmsNormNative final : public Launch {
 public:
  RmsNormNative(const RmsNormProblem& problem, const Pace& pace)
      : problem_(problem),
        sizes_(problem.sizes()),
        pace_(pace),
        tile_tokens_(std::max<std::int64_t>(1, kTileBytes / (sizes_.rows_moved() * sizes_.row_bytes()))),
        output_("output", problem.output_dims(), problem.output_dtype()),
        bypass_(output_.bytes() >= kBypassBytes && sizes_.row_bytes() % kLineBytes == 0) {}

  void run() override {
    std::atomic<std::int64_t> next{0};
    parallel_run([&](int) {
      PacedLoop loop(pace_, kTilesAhead);
      for (std::int64_t begin; (begin = next.fetch_add(tile_tokens_)) < sizes_.tokens;)
        normalise_tile(loop, begin, std::min(sizes_.tokens, begin + tile_tokens_));
      loop.drain();
    });
  }

  Tensor& output() override { return output_; }

 private:
  void normalise_tile(PacedLoop& loop, std::int64_t begin, std::int64_t end) {
    const Work work = rms_norm_rows_work(sizes_, end - begin);
    const auto gamma_bytes = static_cast<double>(begin == 0 ? sizes_.row_bytes() : 0);
    loop.begin({.memory_bytes = work.memory_bytes + gamma_bytes, .flop = work.flop});
    for (std::int64_t token = begin; token < end; ++token) rms_norm::normalise(row(token), sizes_.dtype);
  }

  rms_norm::Row row(std::int64_t token) {
    const std::int64_t at = problem_.row_at(token);
    rms_norm::Row row = {.x = problem_.x().data() + at,
                         .gamma = problem_.gamma().data(),
                         .y = output_.data() + at,
                         .hidden = sizes_.hidden,
                         .epsilon = static_cast<float>(sizes_.epsilon),
                         .bypass = bypass_};
    if (!sizes_.residual) return row;
    row.residual = problem_.residual().data() + at;
    row.sum = output_.data() + problem_.sum_row_at(token);
    return row;
  }

  const RmsNormProblem& problem_;
  RmsNormSizes sizes_;
  Pace pace_;
  std::int64_t tile_tokens_;
  Tensor output_;
  bool bypass_;
};

const Register<Kernel> kernel{{
    .name = "cpu_native",
    .operation = "rms_norm",
    .summary = "vectors, all workers, stores that bypass the caches when the output outgrows them",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<RmsNormNative>(dynamic_cast<const RmsNormProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
