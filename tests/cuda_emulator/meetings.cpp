// Every operation for which the threads of a warp or block meet: shuffles, votes, matrices, barriers.
#include "tests/cuda_emulator/emulator.hpp"
#include "tests/cuda_emulator/machine.hpp"

namespace chokepoint::emulator {
namespace {

constexpr char kSyncWarp[] = "__syncwarp", kBallot[] = "__ballot_sync, any or all", kMatchAny[] = "__match_any_sync",
               kIndexed[] = "__shfl_sync", kUp[] = "__shfl_up_sync", kDown[] = "__shfl_down_sync",
               kExclusiveOr[] = "__shfl_xor_sync", kLdmatrix[] = "ldmatrix", kMma[] = "mma_bf16_m16n8k16",
               kBarrier[] = "barrier";

struct ShuffleSlot {
  std::uint64_t value, result;
  unsigned from;  // lane
};

void complete_shuffle(const Slots& slots, unsigned mask) {
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int own_lane = std::countr_zero(rest);
    auto& own = *static_cast<ShuffleSlot*>(slots[own_lane]);
    if ((mask >> own.from & 1U) == 0)
      throw std::runtime_error("shuffle: lane " + std::to_string(own_lane) + " reads from lane " +
                               std::to_string(own.from) + ", which is not in the mask " + hex(mask));
    own.result = static_cast<const ShuffleSlot*>(slots[own.from])->value;
  }
}

struct BallotSlot {
  bool predicate;
  unsigned result;
};

void complete_ballot(const Slots& slots, unsigned mask) {
  unsigned result = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1)
    if (static_cast<const BallotSlot*>(slots[std::countr_zero(rest)])->predicate) result |= rest & -rest;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1)
    static_cast<BallotSlot*>(slots[std::countr_zero(rest)])->result = result;
}

struct MatchSlot {
  std::uint64_t value;
  unsigned result;
};

void complete_match(const Slots& slots, unsigned mask) {
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    auto& own = *static_cast<MatchSlot*>(slots[std::countr_zero(rest)]);
    own.result = 0;
    for (unsigned others = mask; others != 0; others &= others - 1)
      if (static_cast<const MatchSlot*>(slots[std::countr_zero(others)])->value == own.value)
        own.result |= others & -others;
  }
}

// PTX ISA 9.0, "ldmatrix": lanes 8i to 8i+7 give the rows of matrix i; lane l receives of each matrix elements
// 2(l%4) and 2(l%4)+1 of row l/4, or of column l/4 when it is transposed.
struct MatrixSlot {
  const void* row;
  std::uint32_t* to;
  unsigned matrices;
  bool transposed;
};

void complete_ldmatrix(const Slots& slots, unsigned) {
  const auto slot = [&](unsigned lane_index) -> const MatrixSlot& {
    return *static_cast<const MatrixSlot*>(slots[lane_index]);
  };
  for (unsigned l = 1; l < kWarp; ++l)
    if (slot(l).matrices != slot(0).matrices || slot(l).transposed != slot(0).transposed)
      throw std::runtime_error("ldmatrix: lanes of one warp call different variants");
  std::uint16_t element[8][8];
  for (unsigned i = 0; i < slot(0).matrices; ++i) {
    for (unsigned r = 0; r < 8; ++r) std::memcpy(element[r], slot(8 * i + r).row, 16);
    for (unsigned l = 0; l < kWarp; ++l) {
      const unsigned group = l / 4, pair = l % 4 * 2;
      const std::uint32_t low = slot(l).transposed ? element[pair][group] : element[group][pair];
      const std::uint32_t high = slot(l).transposed ? element[pair + 1][group] : element[group][pair + 1];
      slot(l).to[i] = high << 16 | low;
    }
  }
}

struct MmaSlot {
  float* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};

float low_bf16(std::uint32_t pair) { return std::bit_cast<float>(pair << 16); }
float high_bf16(std::uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000U); }

// PTX ISA 9.0, "Matrix fragments for mma.m16n8k16 with floating point type". g = lane/4, t = lane%4.
// a: rows g, g+8, g, g+8; columns 2t and 2t+1, in a2 and a3 8 further. b: column g; rows as a's columns.
// d: row g in d0, d1, row g+8 in d2, d3; columns 2t and 2t+1.
void complete_mma(const Slots& slots, unsigned) {
  float a[16][16], b[16][8], d[16][8];
  for (unsigned l = 0; l < kWarp; ++l) {
    const auto& slot = *static_cast<const MmaSlot*>(slots[l]);
    const unsigned g = l / 4, t = l % 4 * 2;
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = g + i % 2 * 8, column = t + i / 2 * 8;
      a[row][column] = low_bf16(slot.a[i]);
      a[row][column + 1] = high_bf16(slot.a[i]);
      d[g + i / 2 * 8][t + i % 2] = slot.d[i];
    }
    for (unsigned i = 0; i < 2; ++i) {
      b[t + i * 8][g] = low_bf16(slot.b[i]);
      b[t + i * 8 + 1][g] = high_bf16(slot.b[i]);
    }
  }
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned k = 0; k < 16; ++k)
      for (unsigned column = 0; column < 8; ++column) d[row][column] += a[row][k] * b[k][column];
  for (unsigned l = 0; l < kWarp; ++l)
    for (unsigned i = 0; i < 4; ++i)
      static_cast<const MmaSlot*>(slots[l])->d[i] = d[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2];
}

}  // namespace

void require_full_warp(const char* name) {
  const Thread& me = current(name);
  if (me.block->warps[me.linear / kWarp].lanes != 0xffffffffU)
    throw std::runtime_error(std::string(name) + " needs all 32 lanes of a warp");
}

namespace {

// Counts one thread; true when it is the last.
bool count_at(Barrier& meet, unsigned id, unsigned threads) {
  if (meet.arrived == 0) meet.expected = threads;
  if (meet.expected != threads)
    throw std::runtime_error("barrier " + std::to_string(id) + ": some threads expect " + std::to_string(threads) +
                             ", others " + std::to_string(meet.expected));
  if (++meet.arrived < threads) return false;
  machine().idle_turns = 0;
  for (Thread* thread : meet.waiting) {
    thread->barrier_result = meet.said_true;
    wake(*thread);
  }
  current(kBarrier).barrier_result = meet.said_true;
  meet.waiting.clear();
  meet.arrived = 0;
  meet.said_true = 0;
  return true;
}

Barrier& barrier_of(const Thread& thread, unsigned id) {
  if (id >= kBarriers) throw std::runtime_error("a block has 16 barriers, not " + std::to_string(id + 1));
  return thread.block->barriers[id];
}

}  // namespace

void barrier(unsigned id, unsigned threads) {
  Thread& me = current(kBarrier);
  publish_fenced(me);
  Barrier& meet = barrier_of(me, id);
  if (count_at(meet, id, threads)) return;
  meet.waiting.push_back(&me);
  me.wait = id == 0 ? "__syncthreads" : kBarrier;
  me.wait_mask = 0;
  me.wait_id = id;
  suspend(me);
}

void give_way() {
  Thread& me = current("arrive");
  machine().ready.push_back(&me);
  suspend(me);
}

void barrier_arrive(unsigned id, unsigned threads) {
  publish_fenced(current(kBarrier));
  count_at(barrier_of(current(kBarrier), id), id, threads);
  give_way();
}

int barrier_counting(bool predicate) {
  Thread& me = current("__syncthreads_count");
  me.block->barriers[0].said_true += predicate ? 1 : 0;
  barrier(0, count(blockDim));
  return me.barrier_result;
}

void ldmatrix(std::uint32_t* to, unsigned matrices, bool transposed, const void* row) {
  require_full_warp(kLdmatrix);
  if (lane() < 8 * matrices) check_aligned(row, 16, "row of ldmatrix");
  MatrixSlot slot{row, to, matrices, transposed};
  collective(kLdmatrix, 0xffffffffU, complete_ldmatrix, &slot);
}

void mma_bf16_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  require_full_warp(kMma);
  MmaSlot slot{d, a, b};
  collective(kMma, 0xffffffffU, complete_mma, &slot);
}

std::uint64_t shuffle(Shuffle kind, unsigned mask, std::uint64_t value, int argument, int width) {
  if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width)))
    throw std::runtime_error("shuffle: width " + std::to_string(width) + " is no power of two up to 32");
  const int own = static_cast<int>(lane()), first = own & ~(width - 1), last = first + width - 1;
  int from = own;
  const char* name = kIndexed;
  switch (kind) {
    case Shuffle::indexed: from = first + (argument & (width - 1)); break;
    case Shuffle::up: name = kUp, from = own - argument < first ? own : own - argument; break;
    case Shuffle::down: name = kDown, from = own + argument > last ? own : own + argument; break;
    case Shuffle::exclusive_or: name = kExclusiveOr, from = (own ^ argument) > last ? own : own ^ argument; break;
  }
  ShuffleSlot slot{value, 0, static_cast<unsigned>(from)};
  collective(name, mask, complete_shuffle, &slot);
  return slot.result;
}

unsigned ballot(unsigned mask, bool predicate) {
  BallotSlot slot{predicate, 0};
  collective(kBallot, mask, complete_ballot, &slot);
  return slot.result;
}

unsigned match_any(unsigned mask, std::uint64_t value) {
  MatchSlot slot{value, 0};
  collective(kMatchAny, mask, complete_match, &slot);
  return slot.result;
}

void sync_warp(unsigned mask) {
  publish_fenced(current("__syncwarp"));
  collective(kSyncWarp, mask, [](const Slots&, unsigned) {}, nullptr);
}

}  // namespace chokepoint::emulator
