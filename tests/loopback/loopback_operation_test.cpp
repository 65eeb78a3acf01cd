// The operation `loopback`: what arrives is what was sent, cut into messages that are each booked once.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/loopback/loopback.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

const std::vector<std::string> kKernels = {"cpu_native", "cpu_reference"};

// Bytes and messages: tiny, prime, one element per message, beyond a chunk.
const std::vector<std::pair<std::int64_t, std::int64_t>> kSizes = {
    {4, 1}, {12, 3}, {28, 2}, {4 * 1009, 7}, {4 * 257, 257}, {262144, 1}, {4 * 262147, 3}, {3 << 20, 5}};

Shape shape_of(std::pair<std::int64_t, std::int64_t> size, const std::string& wire) {
  return {{"bytes", size.first}, {"messages", size.second}, {"wire", wire}, {"in_flight", 1}};
}

TEST(loopback_operation, every_kernel_delivers_every_byte) {
  for (const std::string& kernel : kKernels)
    for (const std::string wire : {"link", "network"})
      for (const auto& size : kSizes) {
        Prepared prepared("loopback", kernel, shape_of(size, wire), Dtype::f32);
        const Tensor& output = prepared.run();
        const Tensor& sent = *prepared.problem->inputs()[0];
        ASSERT_EQ(output.bytes(), size.first);
        EXPECT_EQ(std::memcmp(output.data(), sent.data(), static_cast<std::size_t>(size.first)), 0)
            << kernel << " " << prepared.shape.text();
        EXPECT_EQ(prepared.error(), 0.0);
      }
}

TEST(loopback_operation, every_kernel_charges_exactly_the_work_on_the_wire_it_uses) {
  for (const std::string& kernel : kKernels)
    for (const std::string wire : {"link", "network"})
      for (const auto& size : kSizes) {
        const Work work = charged("loopback", kernel, shape_of(size, wire), Dtype::f32);
        const Work declared = find_operation("loopback").work(shape_of(size, wire), Dtype::f32);
        const auto bytes = static_cast<double>(size.first), messages = static_cast<double>(size.second);
        const bool link = wire == "link";
        for (const Work& each : {work, declared}) {
          EXPECT_EQ(each.memory_bytes, 2.0 * bytes) << kernel;
          EXPECT_EQ(each.link_bytes, link ? bytes : 0.0) << kernel;
          EXPECT_EQ(each.network_bytes, link ? 0.0 : bytes) << kernel;
          EXPECT_EQ(each.link_messages, link ? messages : 0.0) << kernel;
          EXPECT_EQ(each.network_messages, link ? 0.0 : messages) << kernel;
          EXPECT_EQ(each.flop, 0.0);
        }
      }
}

TEST(loopback_operation, messages_differ_by_at_most_one_element_and_leave_no_gap) {
  const LoopbackProblem problem(4 * 1009, Wire::link, 7, 1, {});  // 1009 = 7 x 144 + 1
  EXPECT_EQ(problem.message_begin(0), 0);
  EXPECT_EQ(problem.message_begin(1), 4 * 145);
  for (std::int64_t message = 1; message < 7; ++message)
    EXPECT_EQ(problem.message_begin(message + 1) - problem.message_begin(message), 4 * 144);
  EXPECT_EQ(problem.message_begin(7), 4 * 1009);
}

TEST(loopback_operation, every_message_pays_the_latency_and_the_slower_of_wire_and_memory_decides) {
  struct Case {
    double send_per_s, receive_per_s, latency_s, memory_per_s, expected_s;
  };
  // 1 MiB in 4 messages. Wire: 20 ms + 4 x 5 ms = 40 ms; memory: 2 MiB in 60 ms.
  const double fast = 1e12, wire = 1048576 / 20e-3, memory = 2097152 / 60e-3;
  for (const Case& one : {Case{wire, fast, 5e-3, fast, 40e-3}, Case{fast, wire, 5e-3, fast, 40e-3},
                          Case{wire, wire, 0, memory, 60e-3}})
    for (const std::string& kernel : kKernels)
      for (const std::string name : {"link", "network"}) {
        Timeline timeline;
        TimelineClock send(timeline, one.send_per_s, one.latency_s),
            receive(timeline, one.receive_per_s, one.latency_s);
        TimelineClock cold(timeline, one.memory_per_s);
        Pace pace = {.memory = &cold};
        (name == "link" ? pace.link_send : pace.network_send) = &send;
        (name == "link" ? pace.link_receive : pace.network_receive) = &receive;
        Prepared prepared("loopback", kernel, {{"bytes", 1 << 20}, {"messages", 4}, {"wire", name}},
                          Dtype::f32, pace);
        prepared.launch->run();
        EXPECT_NEAR(timeline.elapsed_s(), one.expected_s, 1e-5) << kernel;
      }
}

TEST(loopback_operation, messages_in_flight_together_arrive_whole_and_are_each_booked_once) {
  for (const std::string& kernel : kKernels)
    for (std::int64_t in_flight : {2, 3, 9}) {
      Shape shape = shape_of({4 * 1009, 7}, "link");
      shape.set("in_flight", in_flight);
      CountingPace clocks;
      Prepared prepared("loopback", kernel, shape, Dtype::f32, clocks.pace());
      EXPECT_EQ(prepared.error(), 0.0);
      for (const CountingClock* clock : {&clocks.link_send, &clocks.link_receive}) {
        EXPECT_EQ(clock->amount(), 4.0 * 1009);
        EXPECT_EQ(clock->messages(), 7);
        EXPECT_EQ(clock->waits(), 7);
      }
      EXPECT_EQ(clocks.memory.amount(), 8.0 * 1009);
      EXPECT_EQ(prepared.problem->work().link_messages, 1.0);  // the others' latencies may pass under bytes
    }
}

TEST(loopback_operation, latencies_of_messages_in_flight_together_overlap) {
  struct Case {
    std::int64_t in_flight;
    double latency_s, expected_s;
  };
  // 4 messages of 5 ms each on the wire.
  for (const Case& one : {Case{2, 5e-3, 25e-3},    // the next one's bytes hide all latencies but the last
                          Case{2, 15e-3, 45e-3},   // the third is sent at 20 ms, the fourth at 25: 25 + 5 + 15
                          Case{1, 15e-3, 80e-3},   // 4 x (5 + 15)
                          Case{8, 15e-3, 35e-3}})  // all sent at once
    for (const std::string& kernel : kKernels) {
      Timeline timeline;
      TimelineClock send(timeline, 1048576 / 20e-3, one.latency_s);
      Prepared prepared("loopback", kernel,
                        {{"bytes", 1 << 20}, {"messages", 4}, {"wire", "link"}, {"in_flight", one.in_flight}},
                        Dtype::f32, {.link_send = &send});
      prepared.launch->run();
      EXPECT_NEAR(timeline.elapsed_s(), one.expected_s, 1e-5) << kernel << " " << one.in_flight;
    }
}

TEST(loopback_operation, with_two_messages_in_flight_the_wire_does_not_idle_while_the_sender_turns_round) {
  // 100 messages of 128 KiB at 256 MiB/s. Each wake-up is tens of microseconds late, of 488 us a message.
  RateClock wire(0x1p28);
  Prepared prepared("loopback", "cpu_native",
                    {{"bytes", 100 << 17}, {"messages", 100}, {"wire", "link"}, {"in_flight", 2}}, Dtype::f32,
                    {.link_send = &wire});
  prepared.launch->run();  // first touch
  const double expected_s = 100.0 * 0x1p17 / 0x1p28;
  const double elapsed_s = least_seconds_of([&] { prepared.launch->run(); }, 1.01 * expected_s);
  EXPECT_GE(elapsed_s, expected_s);
  EXPECT_LE(elapsed_s, 1.01 * expected_s);
}

TEST(loopback_operation, probes_both_wires_and_nothing_else_at_any_amount) {
  const Operation& operation = find_operation("loopback");
  for (Resource resource : {Resource::link, Resource::network})
    for (double amount : {0.5, 7.0, 1e6, 1e15}) {
      const std::optional<Shape> shape = operation.probe(resource, amount);
      ASSERT_TRUE(shape);
      const Work work = operation.work(complete_shape(operation, *shape), Dtype::f32);
      EXPECT_NEAR(work.of(resource), std::clamp(amount, 4.0, 0x1p31), 4.0);
      EXPECT_EQ(work.link_bytes + work.network_bytes, work.of(resource));
    }
  for (Resource resource : {Resource::compute, Resource::memory})
    EXPECT_FALSE(operation.probe(resource, 1e6));
}

TEST(loopback_operation, bad_shapes_name_the_field_and_the_limit) {
  const Operation& operation = find_operation("loopback");
  EXPECT_EQ(error_text([&] {
              complete_shape(operation, {{"bytes", 4098}});
            }),
            "loopback: bytes is 4098, not a multiple of 4; send whole f32 elements");
  EXPECT_EQ(
      error_text([&] {
        complete_shape(operation, {{"bytes", 16}, {"messages", 5}});
      }),
      "loopback: messages is 5, more than the 4 f32 elements of 16 bytes; lower messages or raise bytes");
  EXPECT_NE(error_text([&] {
              complete_shape(operation, {{"bytes", 3}});
            }).find("outside 4 to"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              complete_shape(operation, {{"bytes", 8}, {"messages", 0}});
            }).find("outside 1 to"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              complete_shape(operation, {{"bytes", 8}, {"wire", "networks"}});
            }).find("did you mean \"network\"?"),
            std::string::npos);
  EXPECT_EQ(complete_shape(operation, {{"bytes", 8}}).word("wire"), "link");
}

TEST(loopback_operation, all_parts_are_registered_without_fault) {
  EXPECT_EQ(registry_faults(), std::vector<std::string>{});
}

}  // namespace
}  // namespace chokepoint
