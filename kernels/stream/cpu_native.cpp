// stream with all workers and the widest vectors. Bound: memory.
//
// Arrays are cut into tiles that workers take in turn, so that a slow worker holds nobody up. A tile is
// charged when its work begins, eight per worker ahead of the clock: 4 to 6 MiB, a few milliseconds at the
// slowest caps, which hides any late wake-up. Stores bypass the caches once an array outgrows them: then a
// line would be fetched only to be overwritten, traffic that nobody counts.
#include <algorithm>
#include <atomic>

#include "harness/base/parallel.hpp"
#include "kernels/stream/stream.hpp"
#include "kernels/stream/vector_loops.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kTileElements = 1 << 16;  // copy: 512 KiB of traffic, triad: 768 KiB
constexpr std::size_t kTilesAhead = 8;
constexpr std::int64_t kBypassBytes = 1
                                      << 20;  // an array this long outgrows the second-level cache of a core

class StreamNative final : public Launch {
 public:
  StreamNative(const StreamProblem& problem, const Pace& pace)
      : problem_(problem), pace_(pace), output_("output", problem.output_dims(), Dtype::f32, "[elements]") {}

  void run() override {
    std::atomic<std::int64_t> next{0};
    parallel_run([&](int) {
      PacedLoop loop(pace_, kTilesAhead);
      for (std::int64_t begin; (begin = next.fetch_add(kTileElements)) < output_.count();)
        stream_tile(loop, begin, std::min(kTileElements, output_.count() - begin));
      loop.drain();
    });
  }

  Tensor& output() override { return output_; }

 private:
  void stream_tile(PacedLoop& loop, std::int64_t begin, std::int64_t elements) {
    const Work work = stream_work(problem_.pattern(), elements);
    loop.begin({.memory_bytes = work.memory_bytes, .flop = work.flop});
    const bool bypass = output_.bytes() >= kBypassBytes;
    const float* b = problem_.b().as<float>().data() + begin;
    float* a = output_.as<float>().data() + begin;
    if (problem_.pattern() == StreamPattern::copy)
      stream::copy(b, a, elements, bypass);
    else
      stream::triad(b, problem_.c().as<float>().data() + begin, kTriadFactor, a, elements, bypass);
  }

  const StreamProblem& problem_;
  Pace pace_;
  Tensor output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_native",
    .operation = "stream",
    .summary = "vectors, all workers, stores that bypass the caches when arrays outgrow them",
    .dtypes = {Dtype::f32},
    .paces = {Resource::compute, Resource::memory},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<StreamNative>(dynamic_cast<const StreamProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
