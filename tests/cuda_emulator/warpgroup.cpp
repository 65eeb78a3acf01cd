// Products of warpgroups, as sm_90a has them: executed when somebody waits for them. And the registers they need.
//
// Sources: PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate", "setmaxnreg"; written from there,
// apart from hopper/layout.hpp.
#include <cmath>
#include <limits>

#include "tests/cuda_emulator/machine.hpp"

namespace chokepoint::emulator {
namespace {

constexpr unsigned kWarpgroup = 128;
constexpr int kRegistersPerSm = 65536, kMostRegisters = 255;

float from_bf16(const std::byte* at) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof bits);
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

// 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinity.
float from_e4m3(std::uint32_t code) {
  const int exponent = static_cast<int>(code >> 3 & 15U), mantissa = static_cast<int>(code & 7U);
  float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                             : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  if (exponent == 15 && mantissa == 7) size = std::numeric_limits<float>::quiet_NaN();
  return (code & 0x80U) != 0 ? -size : size;
}

struct Descriptor {
  std::uint32_t address, leading, stride;
  hopper::Swizzle swizzle;
};

Descriptor decoded(std::uint64_t bits) {
  const auto field = [&](int shift) { return static_cast<std::uint32_t>(bits >> shift & 0x3fffU) * 16; };
  if ((bits >> 49 & 7U) != 0) throw std::runtime_error("wgmma: a descriptor with a base offset");
  return {field(0), field(16), field(32), static_cast<hopper::Swizzle>(bits >> 62)};
}

std::uint32_t swizzle_span(hopper::Swizzle swizzle) {
  return swizzle == hopper::Swizzle::bytes_128 ? 128 : swizzle == hopper::Swizzle::bytes_64 ? 64
         : swizzle == hopper::Swizzle::bytes_32 ? 32 : 16;
}

// Address of byte `k_byte` (0 to 31) of row `row`.
std::uint32_t k_major(const Descriptor& d, std::uint32_t row, std::uint32_t k_byte) {
  if (d.swizzle == hopper::Swizzle::none)  // cores of 8 rows x 16 bytes
    return d.address + row / 8 * d.stride + k_byte / 16 * d.leading + row % 8 * 16 + k_byte % 16;
  return permuted(d.address + row / 8 * d.stride + row % 8 * swizzle_span(d.swizzle) + k_byte, d.swizzle);
}

// Address of the bf16 at index `mn` of row `k`.
std::uint32_t mn_major(const Descriptor& d, std::uint32_t mn, std::uint32_t k) {
  if (d.swizzle != hopper::Swizzle::bytes_128)
    throw std::runtime_error("wgmma: the emulator knows MN-major operands with 128-byte swizzle only");
  return permuted(d.address + mn / 64 * d.leading + k / 8 * d.stride + k % 8 * 128 + mn % 64 * 2, d.swizzle);
}

const std::byte* shared_at(const Block& block, std::uint32_t address, std::uint32_t bytes) {
  if (address < kSystemSharedBytes || address - kSystemSharedBytes + bytes > block.shared->bytes())
    throw std::runtime_error("wgmma: a descriptor leads to " + hex_offset(address) +
                             ", which is outside of the block's shared memory");
  const std::byte* at = block.shared->data() + (address - kSystemSharedBytes);
  if (!block.unfenced.empty()) require_fenced(block, number(at), bytes, "wgmma");
  return at;
}

using Operand = std::vector<float>;  // [rows or columns, k]

Operand k_major_operand(const Block& block, std::uint64_t descriptor, int rows, bool fp8) {
  const Descriptor d = decoded(descriptor);
  const std::uint32_t step = fp8 ? 1 : 2;
  Operand values;
  for (std::uint32_t row = 0; row < static_cast<std::uint32_t>(rows); ++row)
    for (std::uint32_t byte = 0; byte < 32; byte += step) {
      const std::byte* at = shared_at(block, k_major(d, row, byte), step);
      values.push_back(fp8 ? from_e4m3(std::to_integer<std::uint32_t>(*at)) : from_bf16(at));
    }
  return values;
}

Operand mn_major_operand(const Block& block, std::uint64_t descriptor, int columns) {
  const Descriptor d = decoded(descriptor);
  Operand values;
  for (std::uint32_t mn = 0; mn < static_cast<std::uint32_t>(columns); ++mn)
    for (std::uint32_t k = 0; k < 16; ++k) values.push_back(from_bf16(shared_at(block, mn_major(d, mn, k), 2)));
  return values;
}

// Row of lane l in warp w: 16 w + l/4 in registers 0 and 2, 8 further in 1 and 3; a register holds 4 bytes of k from
// 4 (l%4) on, 16 bytes further in registers 2 and 3.
Operand register_operand(std::span<Thread* const> threads, std::size_t group, std::size_t index, bool fp8) {
  const std::size_t k = fp8 ? 32 : 16, per_register = fp8 ? 4 : 2;
  Operand values(64 * k);
  for (std::size_t t = 0; t < kWarpgroup; ++t) {
    const Product& product = threads[t]->product_groups[group][index];
    for (std::size_t r = 0; r < 4; ++r)
      for (std::size_t e = 0; e < per_register; ++e) {
        const std::size_t row = t / 32 * 16 + t % 32 / 4 + (r & 1U) * 8;
        const std::size_t column = t % 4 * per_register + e + (r >> 1U) * (k / 2);
        const std::uint32_t bits = product.a_registers[r] >> (fp8 ? 8 * e : 16 * e);
        values[row * k + column] = fp8 ? from_e4m3(bits & 0xffU) : std::bit_cast<float>(bits << 16);
      }
  }
  return values;
}

// Of fp8, sums keep 14 bits and lose the others (DeepSeek-V3 report, section 3.3.2): no rounding.
float as_kept(float sum, bool fp8) {
  return fp8 ? std::bit_cast<float>(std::bit_cast<std::uint32_t>(sum) & ~0x3ffU) : sum;
}

Sums& sums_at(Thread& thread, const float* d) {
  for (Sums& sums : thread.sums)
    if (sums.d == d) return sums;
  throw std::logic_error("wgmma: sums of a product that is not in flight");
}

bool same(const WarpgroupProduct& a, const WarpgroupProduct& b) {
  return a.n == b.n && a.fp8 == b.fp8 && a.b_mn_major == b.b_mn_major && a.a == b.a && a.b == b.b && a.keep == b.keep &&
         (a.a_registers == nullptr) == (b.a_registers == nullptr);
}

void execute(std::span<Thread* const> threads, std::size_t group, std::size_t index) {
  const Block& block = *threads[0]->block;
  const WarpgroupProduct what = threads[0]->product_groups[group][index].what;
  for (const Thread* thread : threads)
    if (!same(thread->product_groups[group][index].what, what))
      throw std::runtime_error("wgmma: threads of one warpgroup multiply different things");
  const auto n = static_cast<std::size_t>(what.n), k = std::size_t{what.fp8 ? 32U : 16U};
  const Operand a = what.a_registers != nullptr ? register_operand(threads, group, index, what.fp8)
                                                : k_major_operand(block, what.a, 64, what.fp8);
  const Operand b = what.b_mn_major ? mn_major_operand(block, what.b, what.n)
                                    : k_major_operand(block, what.b, what.n, what.fp8);
  std::vector<float> product(64 * n, 0.0F), b_rows(k * n);
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t p = 0; p < k; ++p) b_rows[p * n + j] = b[j * k + p];
  for (std::size_t row = 0; row < 64; ++row)
    for (std::size_t p = 0; p < k; ++p) {
      const float factor = a[row * k + p];
      for (std::size_t j = 0; j < n; ++j) product[row * n + j] += factor * b_rows[p * n + j];
    }
  // Lane l of warp w: row 16 w + l/4, 8 further in the upper two of four registers; columns 2 (l%4) and the next, 8
  // further with every four registers.
  for (std::size_t t = 0; t < kWarpgroup; ++t) {
    Sums& sums = sums_at(*threads[t], threads[t]->product_groups[group][index].d);
    for (std::size_t i = 0; i < n / 2; ++i) {
      const std::size_t row = t / 32 * 16 + t % 32 / 4 + (i & 2U) * 4, column = i / 4 * 8 + t % 4 * 2 + (i & 1U);
      sums.values[i] = as_kept((what.keep ? sums.values[i] : 0.0F) + product[row * n + column], what.fp8);
    }
    --sums.products;
  }
}

// Sums that nothing in flight adds to any more are the thread's again.
void give_back_sums(Thread& thread) {
  std::erase_if(thread.sums, [](const Sums& sums) {
    if (sums.products == 0) std::copy(sums.values.begin(), sums.values.end(), sums.d);
    return sums.products == 0;
  });
}

Warpgroup& warpgroup_of(Thread& thread, const char* what) {
  Warpgroup& group = thread.block->warpgroups[thread.linear / kWarpgroup];
  if (group.threads.size() != kWarpgroup)
    throw std::runtime_error(std::string(what) + " needs all 128 threads of a warpgroup");
  return group;
}

void finish_products(const Warpgroup& group, unsigned groups_left) {
  const std::size_t groups = group.threads[0]->product_groups.size();
  const std::size_t products = groups == 0 ? 0 : group.threads[0]->product_groups.front().size();
  for (const Thread* thread : group.threads)
    if (thread->product_groups.size() != groups || (groups != 0 && thread->product_groups.front().size() != products))
      throw std::runtime_error("wgmma: threads of one warpgroup have different products in flight");
  if (groups <= groups_left) return;
  for (std::size_t done = 0; done < groups - groups_left; ++done) {
    for (std::size_t index = 0; index < group.threads[0]->product_groups.front().size(); ++index)
      execute(group.threads, 0, index);
    for (Thread* thread : group.threads) thread->product_groups.pop_front();
  }
  for (Thread* thread : group.threads) {
    give_back_sums(*thread);
    if (thread->sums.empty()) thread->warpgroup_ready = false;
  }
}

// Registers.

int registers_in_use(const Block& block, const Warpgroup& changing, int wanted) {
  int used = 0;
  for (const Warpgroup& group : block.warpgroups)
    used += static_cast<int>(group.threads.size()) * (&group == &changing ? wanted : group.registers);
  return used;
}

// Whoever waits for registers takes them as soon as there are enough.
void hand_out_registers(Block& block) {
  for (Warpgroup& group : block.warpgroups) {
    if (group.waiting_for_registers.size() != group.threads.size() || group.threads.empty()) continue;
    if (registers_in_use(block, group, group.wanted_registers) > kRegistersPerSm) continue;
    group.registers = group.wanted_registers;
    for (Thread* thread : group.waiting_for_registers) wake(*thread);
    group.waiting_for_registers.clear();
  }
}

}  // namespace

void begin_warpgroups(Block& block) {
  const auto threads = static_cast<int>(block.running);
  block.warpgroups.resize((block.running + kWarpgroup - 1) / kWarpgroup);
  for (Warp& warp : block.warps)
    for (Thread* thread : warp.threads)
      if (thread != nullptr) block.warpgroups[thread->linear / kWarpgroup].threads.push_back(thread);
  for (Warpgroup& group : block.warpgroups)
    group.registers = std::min(kMostRegisters, kRegistersPerSm / threads / 8 * 8);
}

void warpgroup_arrive() { current("warpgroup_arrive").warpgroup_ready = true; }

void wgmma(const WarpgroupProduct& product, float* d, int count) {
  Thread& me = current("wgmma");
  warpgroup_of(me, "wgmma");
  if (product.n < 8 || product.n > 256 || product.n % 8 != 0 || count != product.n / 2)
    throw std::runtime_error("wgmma: " + std::to_string(count) + " sums for n of " + std::to_string(product.n));
  if (product.fp8 && product.b_mn_major) throw std::runtime_error("wgmma: fp8 has no MN-major operands");
  if (!me.warpgroup_ready) throw std::runtime_error("wgmma without a warpgroup_arrive before it");
  auto found = std::find_if(me.sums.begin(), me.sums.end(), [&](const Sums& sums) { return sums.d == d; });
  if (found == me.sums.end()) {
    me.sums.push_back({.d = d, .values = std::vector<float>(d, d + count)});
    found = me.sums.end() - 1;
    std::fill_n(d, count, std::numeric_limits<float>::quiet_NaN());
  }
  ++found->products;
  Product asked{.what = product, .d = d};
  if (product.a_registers != nullptr) std::copy_n(product.a_registers, 4, asked.a_registers.begin());
  me.open_products.push_back(asked);
}

void warpgroup_commit() {
  Thread& me = current("warpgroup_commit");
  me.product_groups.push_back(std::move(me.open_products));
  me.open_products.clear();
}

void warpgroup_wait(unsigned groups_left) {
  Thread& me = current("warpgroup_wait");
  Warpgroup& group = warpgroup_of(me, "warpgroup_wait");
  if (group.waiting.empty()) group.groups_left = groups_left;
  if (group.groups_left != groups_left)
    throw std::runtime_error("warpgroup_wait: threads of one warpgroup wait for different groups");
  if (group.waiting.size() + 1 < group.threads.size()) {
    group.waiting.push_back(&me);
    me.wait = "warpgroup_wait";
    me.wait_mask = me.wait_id = 0;
    suspend(me);
    return;
  }
  finish_products(group, groups_left);
  machine().idle_turns = 0;
  for (Thread* thread : group.waiting) wake(*thread);
  group.waiting.clear();
}

void set_registers(int registers, bool increase) {
  Thread& me = current("set_registers");
  Warpgroup& group = warpgroup_of(me, "setmaxnreg");
  if (registers % 8 != 0 || registers < 24 || registers > 256)
    throw std::runtime_error("setmaxnreg: " + std::to_string(registers) + " is no multiple of 8 from 24 to 256");
  if (increase ? registers < group.registers : registers > group.registers)
    throw std::runtime_error("setmaxnreg: from " + std::to_string(group.registers) + " to " +
                             std::to_string(registers) + (increase ? " is no increase" : " is no decrease"));
  if (!group.waiting_for_registers.empty() && group.wanted_registers != registers)
    throw std::runtime_error("setmaxnreg: threads of one warpgroup want different numbers");
  group.wanted_registers = registers;
  group.waiting_for_registers.push_back(&me);
  me.wait = "setmaxnreg, for registers that others hold, or for its warpgroup";
  me.wait_mask = me.wait_id = 0;
  if (group.waiting_for_registers.size() == group.threads.size()) hand_out_registers(*me.block);
  suspend(me);  // also when it has its registers: then it is on the list of those that are ready
}

}  // namespace chokepoint::emulator
