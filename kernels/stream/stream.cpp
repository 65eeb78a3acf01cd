// How fast does memory deliver? Two patterns of McCalpin's STREAM (1995): copy reads one array and writes
// one, triad reads two and writes one. The probe behind the memory ceiling and the memory cap.
#include "kernels/stream/stream.hpp"

#include <algorithm>

#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

StreamPattern pattern_of(const Shape& shape) {
  return shape.word("pattern") == "copy" ? StreamPattern::copy : StreamPattern::triad;
}

// Memory by triads: of the two patterns the one that mixes reads and writes as kernels do.
std::optional<Shape> probe(Resource resource, double amount) {
  if (resource != Resource::memory) return std::nullopt;
  const double elements = std::clamp(amount / 12.0, 1.0, 0x1p31);
  return Shape{{"elements", static_cast<std::int64_t>(elements)}, {"pattern", "triad"}};
}

const Register<Operation> operation{{
    .name = "stream",
    .summary = "read and write long arrays once: copy a = b, or triad a = b + 3 c",
    .fields = {{.name = "elements", .meaning = "f32 elements of each array"},
               {.name = "pattern", .meaning = "what is done per element", .words = {"copy", "triad"}}},
    .dtypes = {Dtype::f32},
    .make =
        [](const Shape& shape, Dtype, const InputSpec& inputs) {
          return std::make_unique<StreamProblem>(shape["elements"], pattern_of(shape), inputs);
        },
    .work = [](const Shape& shape, Dtype) { return stream_work(pattern_of(shape), shape["elements"]); },
    .probe = probe,
}};

}  // namespace

Work stream_work(StreamPattern pattern, std::int64_t elements) {
  const auto count = static_cast<double>(elements);
  if (pattern == StreamPattern::copy) return {.memory_bytes = 8.0 * count};
  return {.flop = 2.0 * count, .memory_bytes = 12.0 * count};
}

StreamProblem::StreamProblem(std::int64_t elements, StreamPattern pattern, const InputSpec& inputs)
    : pattern_(pattern), b_("b", {elements}, Dtype::f32, "[elements]") {
  fill(b_, inputs.distribution, inputs.seed);
  if (pattern == StreamPattern::copy) return;
  c_ = Tensor("c", {elements}, Dtype::f32, "[elements]");
  fill(c_, inputs.distribution, inputs.seed);
}

Work StreamProblem::work() const { return stream_work(pattern_, b_.count()); }

std::vector<const Tensor*> StreamProblem::inputs() const {
  if (pattern_ == StreamPattern::copy) return {&b_};
  return {&b_, &c_};
}

std::vector<double> StreamProblem::reference(std::span<const std::int64_t> rows) const {
  std::vector<double> values;
  values.reserve(rows.size() * static_cast<std::size_t>(b_.count()));
  const std::span<const float> b = b_.as<float>();
  for (std::size_t row = 0; row < rows.size(); ++row)  // the output has one row
    for (std::size_t i = 0; i < b.size(); ++i)
      values.push_back(pattern_ == StreamPattern::copy
                           ? double{b[i]}
                           : double{b[i]} + double{kTriadFactor} * double{c_.as<float>()[i]});
  return values;
}

// A copy is exact. Triad rounds twice at most: half an ulp (2^-24) of the result, and half an ulp of 3 c,
// which is at most 5.6 times the root mean square of the result: 3 x 5.9 deviations, the largest `fill`
// draws, / sqrt(1 + 9).
double StreamProblem::tolerance() const { return pattern_ == StreamPattern::copy ? 0.0 : 8.0 * 0x1p-24; }

}  // namespace chokepoint
