// Does each group of rows meet its own matrix? Bring-up stages (hopper_stages.cuh): groups of one block, of any
// number of rows, with room for more, and gated.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/common/cuda/hopper/grouped.hpp"
#include "tests/device/hopper_stage_values.hpp"

namespace chokepoint::hopper::stages {

struct GroupsCase {
  std::vector<int> rows;  // of each group
  int n, k;
  int capacity = 0;  // masked: rows that each has room for
  bool gated = false;
  int multiprocessors = 132;
  bool fp8 = false;
};

// Powers of two, different for neighbours: 1, 1/2, 1/4 or 2.
inline float group_scale(const GroupsCase& test, std::int64_t row, std::int64_t k) {
  constexpr float kScales[] = {1.0F, 0.5F, 0.25F, 2.0F};
  return test.fp8 ? kScales[(row + k / kScaleBlock) % 4] : 1.0F;
}

inline float* group_scales(const GroupsCase& test, std::int64_t rows) {
  const std::int64_t blocks = tiles_along(test.k, kScaleBlock);
  auto* scales = common<float>(static_cast<std::size_t>(rows * blocks));
  for (std::int64_t i = 0; i < rows * blocks; ++i)
    scales[i] = group_scale(test, i / blocks, i % blocks * kScaleBlock);
  return scales;
}

inline void* group_matrix(const GroupsCase& test, std::int64_t rows, int seed) {
  if (!test.fp8) return bf16_matrix(rows, test.k, seed);
  auto* codes = common<std::uint8_t>(static_cast<std::size_t>(rows * test.k));
  for (std::int64_t i = 0; i < rows * test.k; ++i) codes[i] = e4m3_of(number(i, seed));
  return codes;
}

// Row r of A times row `column` of group g's B.
inline float group_sum(const GroupsCase& test, std::int64_t row, std::int64_t group, std::int64_t column) {
  const std::int64_t b_block = group * tiles_along(test.n, kScaleBlock) + column / kScaleBlock;
  float sum = 0.0F;
  for (std::int64_t k = 0; k < test.k; ++k)
    sum += number(row * test.k + k, 5) * group_scale(test, row, k) *
           (number((group * test.n + column) * test.k + k, 6) * group_scale(test, b_block, k));
  return sum;
}

// Sums are whole, or eighths, so that the result is the nearest bf16; silu is not, and has a unit in the last place more.
inline bool is_group_value(const GroupsCase& test, std::int64_t row, std::int64_t group, std::int64_t column,
                           float got) {
  const float sum = group_sum(test, row, group, column);
  if (!test.gated) return got == of_bf16(bf16_of(sum));
  const float wanted = sum / (1.0F + std::exp(-sum)) * group_sum(test, row, group, test.n / 2 + column);
  return std::abs(got - wanted) <= 0x1p-7F * std::abs(wanted) + 1e-6F;
}

inline std::string check_groups(const GroupsCase& test) {
  const auto groups = static_cast<std::int64_t>(test.rows.size());
  auto* numbers = common<std::int32_t>(static_cast<std::size_t>(groups + 1));
  GroupedTask task{.n = test.n, .k = test.k, .groups = groups, .gated = test.gated};
  std::vector<std::int64_t> first;
  for (std::int64_t group = 0; group < groups; ++group) {
    const int rows = test.rows[static_cast<std::size_t>(group)];
    first.push_back(test.capacity > 0 ? group * test.capacity : task.m);
    if (test.capacity > 0)
      numbers[group] = rows;
    else
      numbers[group + 1] = numbers[group] + rows;
    task.m += test.capacity > 0 ? test.capacity : rows;
  }
  (test.capacity > 0 ? task.group_rows : task.group_begin) = numbers;
  task.fp8 = test.fp8;
  task.a = group_matrix(test, task.m, 5);
  task.b = group_matrix(test, groups * test.n, 6);
  task.a_scale = group_scales(test, task.m);
  task.b_scale = group_scales(test, groups * tiles_along(test.n, kScaleBlock));
  auto* c = common<std::uint16_t>(static_cast<std::size_t>(task.m * task.columns()));
  task.c = c;
  const GroupedLaunch product(
      task, grouped_plan_with(ProductTileName::wide, task, {.multiprocessors = test.multiprocessors}));
  bring_memory();
  product.enqueue(nullptr);
  product.enqueue(nullptr);  // a launch has to be repeatable
  const std::string name = fmt::format("groups {} n={} k={} capacity={} gated={} fp8={}", fmt::join(test.rows, ","),
                                       test.n, test.k, test.capacity, test.gated, test.fp8);
  if (const std::string trouble = finish(); !trouble.empty()) return name + ": " + trouble;
  for (std::int64_t group = 0; group < groups; ++group)
    for (std::int64_t i = 0; i < (test.capacity > 0 ? test.capacity : test.rows[static_cast<std::size_t>(group)]); ++i)
      for (std::int64_t column = 0; column < task.columns(); ++column) {
        const std::int64_t row = first[static_cast<std::size_t>(group)] + i;
        const float got = of_bf16(c[row * task.columns() + column]);
        const bool there = i < test.rows[static_cast<std::size_t>(group)];
        if (there ? !is_group_value(test, row, group, column, got) : got != 0.0F)
          return fmt::format("{}: group {} row {} column {} is {}, the sum is {}", name, group, i, column, got,
                             there ? group_sum(test, row, group, column) : 0.0F);
      }
  return "";
}

inline std::string groups_of_rows() {
  const GroupsCase cases[] = {{{128}, 256, 64, 0, false, 2},
                              {{256}, 256, 320, 0, false, 2},
                              {{0, 1, 63, 64, 0, 65, 127, 129, 0}, 264, 200},
                              {{0, 0, 700, 0}, 520, 104, 0, false, 8},
                              {{3, 0, 70, 131}, 136, 72, 131},
                              {{5, 0, 129, 300}, 2 * 136, 72, 0, true},
                              {{128}, 256, 128, 0, false, 2, true},
                              {{0, 1, 63, 64, 0, 65, 127, 129, 0}, 264, 272, 0, false, 132, true}};
  for (const GroupsCase& test : cases)
    if (std::string wrong = check_groups(test); !wrong.empty()) return wrong;
  return "";
}

}  // namespace chokepoint::hopper::stages
