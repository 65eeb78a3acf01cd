// loopback through the link emulation that every other kernel sends with. Bound: link or network.
#include <deque>

#include "kernels/loopback/loopback.hpp"

namespace chokepoint {
namespace {

class LoopbackNative final : public Launch {
 public:
  LoopbackNative(const LoopbackProblem& problem, const Pace& pace)
      : problem_(problem), pace_(pace), output_("output", problem.output_dims(), Dtype::f32, "[bytes / 4]") {}

  void run() override {
    PacedLoop memory(pace_, static_cast<std::size_t>(problem_.in_flight()) + 1);
    std::deque<Sending> in_flight;
    for (std::int64_t message = 0; message < problem_.messages(); ++message) {
      if (std::ssize(in_flight) == problem_.in_flight()) deliver_first(in_flight);
      const std::int64_t begin = problem_.message_begin(message);
      const std::int64_t bytes = problem_.message_begin(message + 1) - begin;
      memory.begin({.memory_bytes = 2.0 * static_cast<double>(bytes)});
      in_flight.emplace_back(Piece{problem_.sent().data() + begin, output_.data() + begin, bytes}, problem_.wire(),
                             pace_);
    }
    while (!in_flight.empty()) deliver_first(in_flight);
    memory.drain();
  }

  Tensor& output() override { return output_; }

 private:
  struct Sending {  // a message refers to its piece, so both stay where they are
    Sending(const Piece& sent, Wire wire, const Pace& pace) : piece(sent), message(std::span(&piece, 1), wire, pace) {}
    Sending(const Sending&) = delete;
    Sending& operator=(const Sending&) = delete;
    Piece piece;
    Message message;
  };

  static void deliver_first(std::deque<Sending>& in_flight) {
    in_flight.front().message.deliver();
    in_flight.pop_front();
  }

  const LoopbackProblem& problem_;
  Pace pace_;
  Tensor output_;
};

const Register<Kernel> kernel{{
    .name = "cpu_native",
    .operation = "loopback",
    .summary = "one copy per message, in chunks that keep up with the wire",
    .dtypes = {Dtype::f32},
    .paces = {Resource::memory, Resource::link, Resource::network},
    .prepare = [](const Problem& problem, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<LoopbackNative>(dynamic_cast<const LoopbackProblem&>(problem), pace);
    },
}};

}  // namespace
}  // namespace chokepoint
