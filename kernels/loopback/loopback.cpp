// How fast does a wire deliver? Bytes go out and come in over one paced copy. The probe behind the link and
// network ceilings and caps: with one message, or several in flight, the rate; with many one by one, the latency.
#include "kernels/loopback/loopback.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kElementBytes = bytes_of(Dtype::f32);

Wire wire_of(const Shape& shape) { return shape.word("wire") == "link" ? Wire::link : Wire::network; }

void check(const Shape& shape) {
  const std::int64_t bytes = shape["bytes"], messages = shape["messages"];
  if (bytes % kElementBytes != 0)
    throw Error(Fault::config,
                fmt::format("loopback: bytes is {}, not a multiple of {}", bytes, kElementBytes),
                "send whole f32 elements");
  if (messages > bytes / kElementBytes)
    throw Error(Fault::config,
                fmt::format("loopback: messages is {}, more than the {} f32 elements of {} bytes", messages,
                            bytes / kElementBytes, bytes),
                "lower messages or raise bytes");
}

// Memory: what is sent is read, what is received is written. Latencies on the critical path: every message's when
// each waits for the one before; of overlapping ones only the last one's is sure not to hide behind bytes.
Work loopback_work(std::int64_t bytes, Wire wire, std::int64_t messages, std::int64_t in_flight) {
  const auto amount = static_cast<double>(bytes), count = in_flight == 1 ? static_cast<double>(messages) : 1.0;
  Work work{.memory_bytes = 2.0 * amount};
  (wire == Wire::link ? work.link_bytes : work.network_bytes) = amount;
  (wire == Wire::link ? work.link_messages : work.network_messages) = count;
  return work;
}

std::optional<Shape> probe(Resource resource, double amount) {
  if (resource != Resource::link && resource != Resource::network) return std::nullopt;
  const auto elements = static_cast<std::int64_t>(std::clamp(amount / kElementBytes, 1.0, 0x1p29));
  return Shape{{"bytes", elements * kElementBytes}, {"wire", std::string(to_string(resource))}};
}

const Register<Operation> operation{{
    .name = "loopback",
    .summary = "send and receive bytes over one wire, message after message",
    .fields =
        {{.name = "bytes", .meaning = "bytes per direction, all messages together", .least = kElementBytes},
         {.name = "wire", .meaning = "link is scale-up, network is scale-out", .words = {"link", "network"}},
         {.name = "messages",
          .meaning = "messages the bytes are cut into, one after the other",
          .fallback = 1},
         {.name = "in_flight",
          .meaning = "messages on their way at once: 1 shows the latency of each, 2 keep the wire busy",
          .fallback = 1}},
    .dtypes = {Dtype::f32},
    .check = check,
    .make =
        [](const Shape& shape, Dtype, const InputSpec& inputs) {
          return std::make_unique<LoopbackProblem>(shape["bytes"], wire_of(shape), shape["messages"],
                                                   shape["in_flight"], inputs);
        },
    .work =
        [](const Shape& shape, Dtype) {
          return loopback_work(shape["bytes"], wire_of(shape), shape["messages"], shape["in_flight"]);
        },
    .probe = probe,
}};

}  // namespace

LoopbackProblem::LoopbackProblem(std::int64_t bytes, Wire wire, std::int64_t messages,
                                 std::int64_t in_flight, const InputSpec& inputs)
    : wire_(wire),
      messages_(messages),
      in_flight_(in_flight),
      sent_("sent", {bytes / kElementBytes}, Dtype::f32, "[bytes / 4]") {
  fill(sent_, inputs.distribution, inputs.seed);
}

Work LoopbackProblem::work() const { return loopback_work(sent_.bytes(), wire_, messages_, in_flight_); }

std::int64_t LoopbackProblem::message_begin(std::int64_t message) const {
  // Quotient and remainder apart: elements * message may not fit 64 bits.
  const std::int64_t each = sent_.count() / messages_, longer = sent_.count() % messages_;
  return kElementBytes * (each * message + std::min(message, longer));
}

std::vector<double> LoopbackProblem::reference(std::span<const std::int64_t> rows) const {
  const std::span<const float> sent = sent_.as<float>();
  std::vector<double> values;
  values.reserve(rows.size() * sent.size());
  for (std::size_t row = 0; row < rows.size(); ++row)  // the output has one row
    values.insert(values.end(), sent.begin(), sent.end());
  return values;
}

}  // namespace chokepoint
