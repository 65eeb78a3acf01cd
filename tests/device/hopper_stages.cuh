// Do Hopper's instructions do what the kernels think they do? From one TMA box to whole products, in stages that each
// rest on the one before; small whole numbers, so that every result is exact.
//
// hopper_stages.cu runs them on a GPU, tests/hopper/stages_test.cpp on the emulator: so the stages themselves are
// tested. Each returns what was wrong first, as words; nothing when nothing was.
#pragma once

#include <functional>

#include "kernels/common/cuda/hopper/epilogue.cuh"
#include "kernels/common/cuda/hopper/product.hpp"
#include "kernels/common/cuda/hopper/wgmma.cuh"
#include "kernels/common/cuda/launch.cuh"
#include "tests/device/hopper_stage_attention.cuh"
#include "tests/device/hopper_stage_groups.cuh"
#include "tests/device/hopper_stage_scales.cuh"

namespace chokepoint::hopper::stages {

// S1. One box into shared memory, and all of it out again as it lies there.

constexpr int kBarrierBytes = 64;

__global__ void __launch_bounds__(128) dump_box(const __grid_constant__ TensorMap map, int rank, int x, int y, int z,
                                                unsigned bytes, unsigned char* out) {
  unsigned char* tile = dynamic_shared();
  auto* barrier = reinterpret_cast<Mbarrier*>(tile + bytes);
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    mbarrier_arrive_expect_tx(barrier, bytes);
    if (rank == 2)
      tma_load_2d(tile, &map, barrier, x, y);
    else
      tma_load_3d(tile, &map, barrier, x, y, z);
  }
  mbarrier_wait(barrier, 0);
  for (unsigned i = threadIdx.x; i < bytes; i += 128) out[i] = tile[i];
}

struct BoxCase {
  const char* name;
  TensorElement element;
  Swizzle swizzle;
  int rows, columns, box_rows, box_columns, x, y;
};

inline std::string check_box(const BoxCase& test) {
  const int element = bytes_of(test.element), pitch = test.columns * element;
  auto* matrix = common<unsigned char>(static_cast<std::size_t>(test.rows * pitch));
  for (int i = 0; i < test.rows * pitch; ++i) matrix[i] = static_cast<unsigned char>(i * 11 + i / 251 + 1);
  const unsigned bytes = static_cast<unsigned>(test.box_rows * test.box_columns * element);
  auto* out = common<unsigned char>(bytes);
  bring_memory();
  launch(dump_box, dim3(1), dim3(128), bytes + kBarrierBytes, nullptr,
         encode_tensor_map(matrix_boxes(matrix, test.element, {.rows = test.rows, .columns = test.columns},
                                        {.rows = test.box_rows, .columns = test.box_columns}, 0, test.swizzle)),
         2, test.x, test.y, 0, bytes, out);
  if (const std::string trouble = finish(); !trouble.empty()) return fmt::format("{}: {}", test.name, trouble);
  for (int row = 0; row < test.box_rows; ++row)
    for (int byte = 0; byte < test.box_columns * element; ++byte) {
      const int from_row = test.y + row, from_byte = test.x * element + byte;
      const bool inside = from_row >= 0 && from_row < test.rows && from_byte >= 0 && from_byte < pitch;
      const int wanted = inside ? matrix[from_row * pitch + from_byte] : 0;
      const std::uint32_t at =
          swizzled(static_cast<std::uint32_t>(row * test.box_columns * element + byte), test.swizzle);
      if (out[at] != wanted)
        return fmt::format("{}: row {} byte {} of the box, at offset {}, is {} instead of {}", test.name, row, byte, at,
                           out[at], wanted);
    }
  return "";
}

inline std::string tma_boxes() {
  const BoxCase cases[] = {
      {"bf16, 128-byte swizzle", TensorElement::bf16, Swizzle::bytes_128, 64, 128, 64, 64, 64, 0},
      {"bf16, over two edges", TensorElement::bf16, Swizzle::bytes_128, 20, 72, 16, 64, 64, 10},
      {"bf16, before the first row", TensorElement::bf16, Swizzle::bytes_128, 20, 72, 16, 64, -8, -3},
      {"fp8, 128-byte swizzle", TensorElement::byte, Swizzle::bytes_128, 32, 256, 32, 128, 128, 0},
      {"bf16, 64-byte swizzle", TensorElement::bf16, Swizzle::bytes_64, 32, 64, 32, 32, 32, 0},
      {"f32, no swizzle", TensorElement::f32, Swizzle::none, 8, 64, 8, 16, 4, 2}};
  for (const BoxCase& test : cases)
    if (std::string wrong = check_box(test); !wrong.empty()) return wrong;
  return "";
}

// Two tiles of 8 rows and 64 columns by one box of three dimensions, whose pitches grow as the driver's manual asks.
inline std::string tma_three_dimensions() {
  std::uint16_t* matrix = bf16_matrix(16, 64, 2);
  constexpr unsigned kBytes = 2048;
  auto* out = common<std::uint16_t>(kBytes / 2);
  const TensorBoxes boxes{.address = matrix, .rank = 3, .dims = {64, 8, 2, 1, 1}, .pitch_bytes = {128, 1024},
                          .box = {64, 8, 2, 1, 1}};
  bring_memory();
  launch(dump_box, dim3(1), dim3(128), kBytes + kBarrierBytes, nullptr, encode_tensor_map(boxes), 3, 0, 0, 0, kBytes,
         reinterpret_cast<unsigned char*>(out));
  if (const std::string trouble = finish(); !trouble.empty()) return trouble;
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 64; ++column) {
      const auto at = swizzled(static_cast<std::uint32_t>(row * kTileRowBytes + column * 2)) / 2;
      if (out[at] != matrix[row * 64 + column])
        return fmt::format("row {} column {} is not at offset {}", row, column, 2 * at);
    }
  return "";
}

// One box of some rows of a tile of 64 after the other, from pages in any order: where a box begins within the 1024 bytes
// in which the swizzle repeats decides how its rows are permuted.

__global__ void __launch_bounds__(128) gather_tile(const __grid_constant__ TensorMap map, int box_rows, int rows,
                                                   unsigned char* out) {
  constexpr unsigned kBytes = 64 * kTileRowBytes;
  unsigned char* tile = dynamic_shared();
  auto* barrier = reinterpret_cast<Mbarrier*>(tile + kBytes);
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    mbarrier_arrive_expect_tx(barrier, kBytes);
    for (int row = 0; row < 64; row += box_rows)
      tma_load_2d(tile + row * kTileRowBytes, &map, barrier, 0, rows - box_rows - row);
  }
  mbarrier_wait(barrier, 0);
  for (unsigned i = threadIdx.x; i < kBytes; i += 128) out[i] = tile[i];
}

inline std::string check_gathered(int box_rows) {
  constexpr int kRows = 64;
  std::uint16_t* matrix = bf16_matrix(kRows, 64, 7);
  auto* out = common<std::uint16_t>(kRows * 64);
  bring_memory();
  launch(gather_tile, dim3(1), dim3(128), kRows * kTileRowBytes + kBarrierBytes, nullptr,
         encode_tensor_map(matrix_boxes(matrix, TensorElement::bf16, {.rows = kRows, .columns = 64},
                                        {.rows = box_rows, .columns = 64})),
         box_rows, kRows, reinterpret_cast<unsigned char*>(out));
  if (const std::string trouble = finish(); !trouble.empty()) return fmt::format("boxes of {}: {}", box_rows, trouble);
  for (int row = 0; row < kRows; ++row)
    for (int column = 0; column < 64; ++column) {
      const int from = kRows - box_rows - row / box_rows * box_rows + row % box_rows;
      const auto at = swizzled(static_cast<std::uint32_t>(row * kTileRowBytes + column * 2)) / 2;
      if (out[at] != matrix[from * 64 + column])
        return fmt::format("boxes of {}: row {} column {} is not at offset {}", box_rows, row, column, 2 * at);
    }
  return "";
}

inline std::string tma_gathers() {
  for (const int box_rows : {64, 16, 8, 4, 1})
    if (std::string wrong = check_gathered(box_rows); !wrong.empty()) return wrong;
  return "";
}

// S2. One warpgroup, the products of 128 bytes of k.

enum class Form { bf16, bf16_registers, bf16_mn, bf16_mn_registers, fp8, fp8_registers };
constexpr bool is_fp8(Form form) { return form == Form::fp8 || form == Form::fp8_registers; }
constexpr bool is_mn(Form form) { return form == Form::bf16_mn || form == Form::bf16_mn_registers; }
constexpr bool from_registers(Form form) {
  return form == Form::bf16_registers || form == Form::bf16_mn_registers || form == Form::fp8_registers;
}

// `a` and `b` as the tensor maps' matrices; a_values the same as a's, row-major, for fragments. c is [64, kN].
template <int kN, Form kForm>
__global__ void __launch_bounds__(128)
    one_warpgroup(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                  const unsigned char* a_values, float* c) {
  constexpr int kATile = 64 * 128, kBTiles = is_mn(kForm) ? (kN + 63) / 64 : 1;
  constexpr int kBTile = (is_mn(kForm) ? 64 : kN) * 128;
  unsigned char* tile = dynamic_shared();
  auto* barrier = reinterpret_cast<Mbarrier*>(tile + kATile + kBTiles * kBTile);
  const int t = static_cast<int>(threadIdx.x);
  if (t == 0) {
    mbarrier_init(barrier, 1);
    fence_barrier_init();
  }
  __syncthreads();
  if (t == 0) {
    mbarrier_arrive_expect_tx(barrier, kATile + kBTiles * kBTile);
    tma_load_2d(tile, &a, barrier, 0, 0);
    for (int i = 0; i < kBTiles; ++i) tma_load_2d(tile + kATile + i * kBTile, &b, barrier, 64 * i, 0);
  }
  mbarrier_wait(barrier, 0);
  const std::uint64_t a_tile = k_major_descriptor(shared_address(tile));
  const std::uint64_t b_tile = is_mn(kForm) ? mn_major_descriptor(shared_address(tile + kATile), 64)
                                            : k_major_descriptor(shared_address(tile + kATile));
  std::uint32_t fragments[4][4];
#pragma unroll
  for (int step = 0; step < 4; ++step)
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int k_byte = 32 * step + (is_fp8(kForm) ? a_fragment_k_fp8(t, r, 0) : 2 * a_fragment_k_bf16(t, r, 0));
      fragments[step][r] = *reinterpret_cast<const std::uint32_t*>(a_values + a_fragment_row(t, r) * 128 + k_byte);
    }
  float d[kN / 2];
#pragma unroll
  for (int i = 0; i < kN / 2; ++i) d[i] = 1000.0F;  // the first product must not keep it
  sums_fence(d);
  warpgroup_arrive();
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    const std::uint64_t b_step = advanced(b_tile, step * (is_mn(kForm) ? kMnMajorStepBytes : kStepBytes));
    const std::uint64_t a_step = advanced(a_tile, step * kStepBytes);
    constexpr Major kB = is_mn(kForm) ? Major::mn : Major::k;
    if constexpr (is_fp8(kForm)) {
      if constexpr (from_registers(kForm))
        multiply_fp8<kN>(d, fragments[step], b_step, step > 0);
      else
        multiply_fp8<kN>(d, a_step, b_step, step > 0);
    } else {
      if constexpr (from_registers(kForm))
        multiply_bf16<kN, kB>(d, fragments[step], b_step, step > 0);
      else
        multiply_bf16<kN, kB>(d, a_step, b_step, step > 0);
    }
  }
  warpgroup_commit();
  warpgroup_wait<0>();
  sums_fence(d);
#pragma unroll
  for (int i = 0; i < kN / 2; ++i) c[accumulator_row(t, i) * kN + accumulator_column(t, i)] = d[i];
}

template <int kN, Form kForm>
std::string check_products() {
  constexpr bool kFp8 = is_fp8(kForm), kMn = is_mn(kForm);
  constexpr int kK = kFp8 ? 128 : 64, kElement = kFp8 ? 1 : 2;
  constexpr int kRows = kMn ? kK : kN, kColumns = kMn ? (kN + 63) / 64 * 64 : kK;  // of b as it is stored
  auto* a = common<unsigned char>(64 * 128);
  auto* b = common<unsigned char>(std::size_t{kRows} * kColumns * kElement);
  const auto put = [](unsigned char* to, std::int64_t i, float value) {
    const std::uint16_t bits = kFp8 ? e4m3_of(value) : bf16_of(value);
    std::memcpy(to + i * kElement, &bits, kElement);
  };
  for (int i = 0; i < 64 * kK; ++i) put(a, i, number(i, 3));
  for (int i = 0; i < kRows * kColumns; ++i) put(b, i, number(i, 4));
  auto* c = common<float>(64 * kN);
  constexpr TensorElement kType = kFp8 ? TensorElement::byte : TensorElement::bf16;
  const TensorMap a_map =
      encode_tensor_map(matrix_boxes(a, kType, {.rows = 64, .columns = kK}, {.rows = 64, .columns = kK}));
  const TensorMap b_map = encode_tensor_map(
      matrix_boxes(b, kType, {.rows = kRows, .columns = kColumns}, {.rows = kRows, .columns = kMn ? 64 : kK}));
  constexpr std::size_t kSharedBytes = std::size_t{64} * 128 + kRows * kColumns * kElement + kBarrierBytes;
  bring_memory();
  launch(one_warpgroup<kN, kForm>, dim3(1), dim3(128), kSharedBytes, nullptr, a_map, b_map, a, c);
  const std::string name = fmt::format("n {} form {}", kN, static_cast<int>(kForm));
  if (const std::string trouble = finish(); !trouble.empty()) return name + ": " + trouble;
  for (int row = 0; row < 64; ++row)
    for (int column = 0; column < kN; ++column) {
      float sum = 0.0F;
      for (int k = 0; k < kK; ++k)
        sum += number(row * kK + k, 3) * number(kMn ? k * kColumns + column : column * kK + k, 4);
      if (c[row * kN + column] != sum)
        return fmt::format("{}: row {} column {} is {} instead of {}", name, row, column, c[row * kN + column], sum);
    }
  return "";
}

inline std::string products() {
  const std::function<std::string()> checks[] = {
      check_products<8, Form::bf16>,   check_products<64, Form::bf16>,  check_products<128, Form::bf16>,
      check_products<256, Form::bf16>, check_products<64, Form::bf16_registers>,
      check_products<64, Form::bf16_mn>, check_products<256, Form::bf16_mn>,
      check_products<128, Form::bf16_mn_registers>,
      check_products<8, Form::fp8>,    check_products<128, Form::fp8>,  check_products<64, Form::fp8_registers>};
  for (const auto& check : checks)
    if (std::string wrong = check(); !wrong.empty()) return wrong;
  return "";
}

// S3. Sums through stmatrix and TMA, clipped at the edges of the output; nothing beyond them is touched.

constexpr int kStoreColumns = 160;

__global__ void __launch_bounds__(128) store_tile(const __grid_constant__ TensorMap map, int columns) {
  const int t = static_cast<int>(threadIdx.x);
  float d[kStoreColumns / 2];
#pragma unroll
  for (int i = 0; i < kStoreColumns / 2; ++i)
    d[i] = static_cast<float>(accumulator_row(t, i) * 4 - accumulator_column(t, i) % 32);
  SliceStore store(dynamic_shared(), 1);
  store.tile<kStoreColumns>(&map, d, 0, 0, columns);
  store.finish();
}

inline std::string check_stored(int columns) {
  constexpr int kRows = 50, kPitch = 208;
  auto* out = common<std::uint16_t>(std::size_t{kRows + 1} * kPitch);
  bring_memory();
  launch(store_tile, dim3(1), dim3(128), kStoreBytes, nullptr,
         encode_tensor_map(matrix_boxes(out, TensorElement::bf16, {.rows = kRows, .columns = columns},
                                        {.rows = 64, .columns = kSliceColumns}, kPitch)),
         columns);
  if (std::string trouble = finish(); !trouble.empty()) return trouble;
  for (int row = 0; row <= kRows; ++row)
    for (int column = 0; column < kPitch; ++column) {
      const bool inside = row < kRows && column < columns && column < kStoreColumns;
      const float wanted = inside ? static_cast<float>(row * 4 - column % 32) : 0.0F;
      if (of_bf16(out[row * kPitch + column]) != wanted)
        return fmt::format("{} columns: row {} column {} is {} instead of {}", columns, row, column,
                           of_bf16(out[row * kPitch + column]), wanted);
    }
  return "";
}

// The output ends within the tile, and goes on behind it.
inline std::string stores() {
  for (const int columns : {136, 200})
    if (std::string wrong = check_stored(columns); !wrong.empty()) return wrong;
  return "";
}

// S4 to S6. Whole products of whole numbers.

struct ProductCase {
  ProductTileName name;
  bool kn, f32;
  int m, n, k;
  int cuts = 1, multiprocessors = 132;
};

inline std::string check_product(const ProductCase& test) {
  std::uint16_t* a = bf16_matrix(test.m, test.k, 5);
  std::uint16_t* b = test.kn ? bf16_matrix(test.k, test.n, 6) : bf16_matrix(test.n, test.k, 6);
  void* c = common_memory(static_cast<std::size_t>(test.m) * test.n * 4);
  ProductTask task{.m = test.m, .n = test.n, .k = test.k, .a = a, .b = b, .b_is_kn = test.kn};
  task.c = c;
  task.c_is_f32 = test.f32;
  const ProductPlan plan = product_plan_with(test.name, test.cuts, task, {.multiprocessors = test.multiprocessors});
  if (plan.workspace_bytes() > 0) task.workspace = common_memory(static_cast<std::size_t>(plan.workspace_bytes()));
  const Product product(task, plan);
  bring_memory();
  product.enqueue(nullptr);
  product.enqueue(nullptr);  // a launch has to be repeatable
  const std::string name = fmt::format("tile {} {} m={} n={} k={} cuts={}", static_cast<int>(test.name),
                                       test.kn ? "kn" : "nk", test.m, test.n, test.k, test.cuts);
  if (const std::string trouble = finish(); !trouble.empty()) return name + ": " + trouble;
  for (std::int64_t row = 0; row < test.m; ++row)
    for (std::int64_t column = 0; column < test.n; ++column) {
      float sum = 0.0F;
      for (std::int64_t k = 0; k < test.k; ++k)
        sum += number(row * test.k + k, 5) * number(test.kn ? k * test.n + column : column * test.k + k, 6);
      const std::int64_t at = row * test.n + column;
      const float wanted = test.f32 ? sum : of_bf16(bf16_of(sum));
      const float got =
          test.f32 ? static_cast<const float*>(c)[at] : of_bf16(static_cast<const std::uint16_t*>(c)[at]);
      if (got != wanted) return fmt::format("{}: row {} column {} is {} instead of {}", name, row, column, got, wanted);
    }
  return "";
}

inline std::string check_products_of(const std::vector<ProductCase>& cases) {
  for (const ProductCase& test : cases)
    if (std::string wrong = check_product(test); !wrong.empty()) return wrong;
  return "";
}

inline std::string one_block() {
  constexpr int kStages = product_tile(ProductTileName::low).stages;
  std::vector<ProductCase> cases;
  for (const int steps : {1, kStages - 1, kStages, kStages + 1, 37})
    cases.push_back({ProductTileName::low, true, true, 64, 128, 64 * steps, 1, 1});
  return check_products_of(cases);
}
inline std::string persistent() {
  return check_products_of({{ProductTileName::low, true, true, 200, 520, 136, 1, 3},
                            {ProductTileName::low, true, false, 65, 131, 72},
                            {ProductTileName::low, true, false, 1, 8, 8},
                            {ProductTileName::low, true, false, 70, 264, 1000, 5}});
}
inline std::string clusters() {
  return check_products_of({{ProductTileName::wide, false, false, 256, 256, 64, 1, 2},
                            {ProductTileName::wide, false, false, 256, 256, 320, 1, 2},
                            {ProductTileName::wide, false, false, 385, 520, 200, 1, 4},
                            {ProductTileName::wide, false, true, 129, 257, 104},
                            {ProductTileName::wide, false, false, 1, 8, 8}});
}

struct Stage {
  const char* name;
  std::string (*run)();
};
inline constexpr Stage kStages[] = {{"S1 boxes of TMA, swizzled, over edges", tma_boxes},
                                    {"S1 boxes of three dimensions", tma_three_dimensions},
                                    {"S1 a tile from many boxes, as from pages", tma_gathers},
                                    {"S2 products of one warpgroup", products},
                                    {"S3 sums through stmatrix and TMA", stores},
                                    {"S4 one block, k shorter and longer than the ring", one_block},
                                    {"S5 persistent blocks, ragged edges, cuts along k", persistent},
                                    {"S6 clusters of two, odd numbers of tiles", clusters},
                                    {"S7 fp8 with scales, sums promoted every 128 of k", scaled_blocks},
                                    {"S7 fp8 with scales in clusters, tiles across blocks of scales", scaled_clusters},
                                    {"S8 groups of rows: one block, ragged, masked, gated", groups_of_rows},
                                    {"S9 attention: prefill", prefill},
                                    {"S9 attention: decode of absorbed MLA", latent}};

}  // namespace chokepoint::hopper::stages
