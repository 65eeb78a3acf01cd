#include "harness/run/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <span>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kElementsAtOnce = 1 << 16;

double sum_of_squares(std::span<const double> values) {
  const auto grain = std::int64_t{1} << 20;
  std::vector<double> sums((values.size() >> 20) + 1);
  parallel_for(std::ssize(values), grain, [&](std::int64_t begin, std::int64_t end, int) {
    double sum = 0.0;
    for (double value : values.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)))
      sum += value * value;
    sums[static_cast<std::size_t>(begin / grain)] = sum;  // by chunk, not worker: the same sum on every machine
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

Answer answer_of(const Problem& problem, double most_flop, std::uint64_t seed) {
  const std::int64_t rows = problem.output_rows();
  const Work work = problem.work();
  const double cost_per_row = std::max({work.flop, work.memory_bytes, 1.0}) / static_cast<double>(rows);
  const double affordable = std::max(2.0, most_flop / cost_per_row);
  Answer answer;
  if (affordable >= static_cast<double>(rows)) {
    answer.rows.resize(static_cast<std::size_t>(rows));
    std::iota(answer.rows.begin(), answer.rows.end(), 0);
  } else {
    // One row drawn from each of `count` equal stretches, so that no region of the output goes unseen.
    const auto count = static_cast<std::int64_t>(affordable);
    std::set<std::int64_t> chosen = {0, rows - 1};
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t begin = i * rows / count, end = (i + 1) * rows / count;
      chosen.insert(begin +
                    static_cast<std::int64_t>(random_below(seed, 0x726f7773, static_cast<std::uint64_t>(i),
                                                           static_cast<std::uint64_t>(end - begin))));
    }
    answer.rows.assign(chosen.begin(), chosen.end());
  }
  answer.reference = problem.reference(answer.rows);
  answer.rms = std::sqrt(sum_of_squares(answer.reference) / static_cast<double>(std::max<std::size_t>(1, answer.reference.size())));
  return answer;
}

Verification compare(const Problem& problem, const Answer& answer, const Tensor& output) {
  if (output.dims() != problem.output_dims() || output.dtype() != problem.output_dtype())
    throw Error(Fault::wrong_result,
                "the kernel's output has other dimensions or another dtype than the problem's",
                "make the launch return the problem's output_dims and output_dtype");
  const std::int64_t length = problem.output_row_length();
  Verification verification;
  verification.tolerance = problem.tolerance();
  verification.rows_checked = static_cast<std::int64_t>(answer.rows.size());
  verification.rows = problem.output_rows();
  const double floor = answer.rms > 0.0 ? answer.rms : 1.0;  // a reference of zeros: absolute error
  struct alignas(64) Worst {  // workers on cache lines of their own
    double of_all = 0.0, of_row = 0.0;
    bool finite = true;
  };
  std::vector<Worst> worst(static_cast<std::size_t>(parallel_workers()));
  const auto rows = static_cast<std::int64_t>(answer.rows.size());
  std::vector<double> row_floors;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::span<const double> row =
        std::span(answer.reference).subspan(static_cast<std::size_t>(r * length), static_cast<std::size_t>(length));
    const double row_rms = std::sqrt(sum_of_squares(row) / static_cast<double>(length));
    row_floors.push_back(row_rms > 0.0 ? row_rms : floor);
  }
  parallel_for(rows * length, kElementsAtOnce, [&](std::int64_t begin, std::int64_t end, int worker) {
    Worst& mine = worst[static_cast<std::size_t>(worker)];
    for (std::int64_t i = begin; i < end; ++i) {
      const auto row = static_cast<std::size_t>(i / length);
      const double wanted = answer.reference[static_cast<std::size_t>(i)];
      const double got = output.at(answer.rows[row] * length + i % length);
      if (!std::isfinite(got) || !std::isfinite(wanted)) mine.finite = false;
      const double off = std::abs(got - wanted);
      mine.of_all = std::max(mine.of_all, off / (std::abs(wanted) + floor));
      mine.of_row = std::max(mine.of_row, off / (std::abs(wanted) + row_floors[row]));
    }
  });
  double error = 0.0, row_error = 0.0;
  for (const Worst& one : worst) {
    if (!one.finite) return verification;
    error = std::max(error, one.of_all);
    row_error = std::max(row_error, one.of_row);
  }
  verification.error = error;
  verification.row_error = row_error;
  verification.passed = row_error <= verification.tolerance;
  return verification;
}

bool have_same_output(Device& device, const Launch& a, const Launch& b) {
  const std::optional<DeviceBytes> of_a = a.output_on_device(), of_b = b.output_on_device();
  return of_a && of_b && of_a->bytes == of_b->bytes && device.same_bytes(of_a->at, of_b->at, of_a->bytes);
}

}  // namespace chokepoint
