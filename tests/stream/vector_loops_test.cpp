// The loops of stream on every instruction set: every element at every length, and nothing beyond.
#include "kernels/stream/vector_loops.hpp"

#include <gtest/gtest.h>

#include "harness/base/random.hpp"
#include "harness/base/tensor.hpp"
#include "tests/kernels/instruction_sets.hpp"

namespace chokepoint {
namespace {

TEST(stream_loops, write_every_element_and_nothing_beyond_on_every_instruction_set) {
  constexpr std::int64_t kMost = 300;  // more than four vectors of 16 floats, several times
  Tensor b("b", {kMost}, Dtype::f32), c("c", {kMost}, Dtype::f32);
  fill(b, "normal", 1);
  fill(c, "normal", 1);
  const int sets = on_every_instruction_set([&] {
    for (bool bypass : {false, true})
      for (std::int64_t elements = 0; elements < kMost; ++elements)
        for (bool is_copy : {true, false}) {
          Tensor a("a", {kMost}, Dtype::f32);
          if (is_copy)
            stream::copy(b.as<float>().data(), a.as<float>().data(), elements, bypass);
          else
            stream::triad(b.as<float>().data(), c.as<float>().data(), 3.0F, a.as<float>().data(), elements,
                          bypass);
          for (std::int64_t i = 0; i < kMost; ++i) {
            const double expected = i >= elements ? 0.0 : is_copy ? b.at(i) : b.at(i) + 3.0 * c.at(i);
            ASSERT_NEAR(a.at(i), expected, is_copy ? 0.0 : 2e-6) << elements << " " << i << " " << bypass;
          }
        }
  });
  EXPECT_GE(sets, 1);
}

}  // namespace
}  // namespace chokepoint
