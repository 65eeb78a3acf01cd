// loopback element by element, with the clocks booked in plain sight: the kernel to compare with.
#include <deque>

#include "kernels/loopback/loopback.hpp"

namespace chokepoint {
namespace {

class LoopbackReference final : public Launch {
 public:
  LoopbackReference(const LoopbackProblem& problem, const Pace& pace)
      : problem_(problem),
        clocks_{problem.wire() == Wire::link ? pace.link_send : pace.network_send,
                problem.wire() == Wire::link ? pace.link_receive : pace.network_receive},
        memory_(pace.memory),
        output_("output", problem.output_dims(), Dtype::f32, "[bytes / 4]") {}

  void run() override {
    const std::span<const float> sent = problem_.sent().as<float>();
    const std::span<float> received = output_.as<float>();
    std::deque<Ready> in_flight;
    for (std::int64_t message = 0; message < problem_.messages(); ++message) {
      if (std::ssize(in_flight) == problem_.in_flight()) wait_for_first(in_flight);
      const std::int64_t begin = problem_.message_begin(message), end = problem_.message_begin(message + 1);
      const auto bytes = static_cast<double>(end - begin);
      Ready& ready = in_flight.emplace_back();
      for (int direction = 0; direction < 2; ++direction)
        if (clocks_[direction] != nullptr) ready.wire[direction] = clocks_[direction]->reserve_message(bytes);
      if (memory_ != nullptr) ready.memory = memory_->reserve(2.0 * bytes);
      for (auto i = static_cast<std::size_t>(begin / 4); i < static_cast<std::size_t>(end / 4); ++i)
        received[i] = sent[i];
    }
    while (!in_flight.empty()) wait_for_first(in_flight);
  }

  Tensor& output() override { return output_; }

 private:
  struct Ready {
    Moment wire[2] = {}, memory{};
  };

  void wait_for_first(std::deque<Ready>& in_flight) const {
    const Ready ready = in_flight.front();
    in_flight.pop_front();
    for (int direction = 0; direction < 2; ++direction)
      if (clocks_[direction] != nullptr) clocks_[direction]->wait(ready.wire[direction]);
    if (memory_ != nullptr) memory_->wait(ready.memory);
  }

  const LoopbackProblem& problem_;
  ResourceClock* clocks_[2];  // send, receive
  ResourceClock* memory_;
  Tensor output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_reference",
    .operation = "loopback",
    .summary = "one plain loop per message",
    .dtypes = {Dtype::f32},
    .paces = {Resource::memory, Resource::link, Resource::network},
    .probes = false,
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<LoopbackReference>(dynamic_cast<const LoopbackProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
