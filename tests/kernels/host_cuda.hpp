// How do whole CUDA launches run without a GPU? Their kernels on the emulator, memory and clocks in host
// memory.
//
// Included before the launch; cuda_on_host.cpp has the functions of gemm.hpp and wire.hpp.
#pragma once

#include "tests/cuda_emulator/emulator.hpp"
// The emulator comes first.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "kernels/kernel.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint {

// Where device code charges; released, so that it counts and nothing waits.
class CountingDeviceClock : public ResourceClock {
 public:
  DeviceClock* on_device() const override { return &clock_; }
  Moment reserve(double) override {
    throw Error(Fault::device, "charged by the host", "charge in device code");
  }
  Moment reserve_message(double amount) override { return reserve(amount); }
  void wait(Moment) override {}

  double charged() const { return static_cast<double>(clock_.charged); }
  double messages() const { return static_cast<double>(clock_.messages); }

 private:
  mutable DeviceClock clock_;
};

struct CountingDevicePace {
  CountingDeviceClock compute, memory, link_send, link_receive, network_send, network_receive;

  Pace pace() { return {&compute, &memory, &link_send, &link_receive, &network_send, &network_receive}; }

  Work charged() const {
    // Both directions carry the same; a difference shows as a number no operation can have.
    const auto both = [](const CountingDeviceClock& send, const CountingDeviceClock& receive) {
      return send.charged() == receive.charged() && send.messages() == receive.messages() ? send.charged()
                                                                                          : -1.0;
    };
    return {.flop = compute.charged(),
            .memory_bytes = memory.charged(),
            .link_bytes = both(link_send, link_receive),
            .network_bytes = both(network_send, network_receive),
            .link_messages = link_send.messages(),
            .network_messages = network_send.messages()};
  }
};

// Few multiprocessors, so that persistent blocks take several tiles. Memory of the default device is the host's.
class EmulatedDevice : public UnusedDevice {
 public:
  int multiprocessors(Lane) const override { return reached; }

  int reached = 4;  // as in a green context, when it changes
};

struct EmulatedRun {
  Work charged;
  OutputErrors errors;
};

// The second of two runs of `make(problem, device, pace)`, on a poisoned output.
template <class MakeLaunch>
EmulatedRun run_emulated(const Problem& problem, const MakeLaunch& make) {
  EmulatedDevice device;
  CountingDevicePace clocks;
  const std::unique_ptr<Launch> launch = make(device, clocks.pace());
  launch->run();
  const Work first = clocks.charged();
  launch->poison();
  launch->run();
  Work second = clocks.charged();
  second.flop -= first.flop;
  second.memory_bytes -= first.memory_bytes;
  second.link_bytes -= first.link_bytes;
  second.network_bytes -= first.network_bytes;
  second.link_messages -= first.link_messages;
  second.network_messages -= first.network_messages;
  return {second, errors_of(problem, launch->output())};
}

// Blocks of the last kernel of a launch that is prepared where four multiprocessors are reached, and runs where two
// are, as in a green context that is entered in between; its output is right all the same.
template <class MakeLaunch>
unsigned blocks_on_two_multiprocessors(const Problem& problem, const MakeLaunch& make) {
  EmulatedDevice device;
  CountingDevicePace clocks;
  const std::unique_ptr<Launch> launch = make(device, clocks.pace());
  launch->run();
  EXPECT_EQ(gridDim.x, 4U);
  device.reached = 2;
  launch->poison();
  launch->run();
  EXPECT_LE(errors_of(problem, launch->output()).worst, problem.tolerance());
  return gridDim.x;
}

}  // namespace chokepoint
