#include "harness/run/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <span>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {

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
  double squares = 0.0;
  for (double value : answer.reference) squares += value * value;
  answer.rms = std::sqrt(squares / static_cast<double>(std::max<std::size_t>(1, answer.reference.size())));
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
  double worst = 0.0, worst_in_row = 0.0;
  for (std::size_t r = 0; r < answer.rows.size(); ++r) {
    const std::span<const double> expected(answer.reference.data() + r * static_cast<std::size_t>(length),
                                           static_cast<std::size_t>(length));
    double squares = 0.0;
    for (double value : expected) squares += value * value;
    const double row_rms = std::sqrt(squares / static_cast<double>(length));
    const double row_floor = row_rms > 0.0 ? row_rms : floor;
    for (std::int64_t c = 0; c < length; ++c) {
      const double wanted = expected[static_cast<std::size_t>(c)], got = output.at(answer.rows[r] * length + c);
      if (!std::isfinite(got) || !std::isfinite(wanted)) return verification;
      const double off = std::abs(got - wanted);
      worst = std::max(worst, off / (std::abs(wanted) + floor));
      worst_in_row = std::max(worst_in_row, off / (std::abs(wanted) + row_floor));
    }
  }
  verification.error = worst;
  verification.row_error = worst_in_row;
  verification.passed = worst_in_row <= verification.tolerance;
  return verification;
}

}  // namespace chokepoint
