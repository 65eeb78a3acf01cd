// The scheduler, and every operation for which the threads of a warp or block meet.
#include "tests/cuda_emulator/emulator.hpp"

#include <cstdio>

#include "tests/cuda_emulator/machine.hpp"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace chokepoint::emulator {
Machine& machine() {
  static Machine instance;
  return instance;
}

namespace {

std::string text(uint3 i) {
  return '(' + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) + ')';
}

std::string hex(unsigned bits) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "0x%08x", bits);
  return buffer;
}

}  // namespace

std::string place(const Thread& thread) {
  return "block " + text(thread.block->index) + ", thread " + text(thread.index);
}

Thread& current(const char* what) {
  Thread* thread = machine().current;
  if (thread == nullptr) throw std::logic_error(std::string(what) + " outside of a launch");
  return *thread;
}

namespace {

void call_kernel(Thread& thread) {
  try {
    (*machine().body)();
    thread.running = false;
    thread_returned(thread);
  } catch (const std::exception& e) {
    machine().failure = std::make_exception_ptr(std::runtime_error(place(thread) + ": " + e.what()));
  } catch (...) {
    machine().failure = std::current_exception();
  }
}

}  // namespace

// Gives the turn away; somebody else puts the thread on the list of those that are ready.
void suspend(Thread& thread) { thread.fiber->suspend(); }

void wake(Thread& thread) {
  thread.wait = nullptr;
  thread.wait_mbarrier = nullptr;
  machine().ready.push_front(&thread);  // before those that gave way to it
}

namespace {

void take_turn(Thread& thread) {
  Machine& m = machine();
  m.time.now_ns += m.time.per_turn_ns;
  m.current = &thread;
  threadIdx = thread.index;
  blockIdx = thread.block->index;
  thread.fiber->resume();
  m.current = nullptr;
  if (!thread.running) m.idle_turns = 0;
}

void wake_sleepers() {
  Machine& m = machine();
  if (m.ready.empty() && !m.sleepers.empty())
    m.time.now_ns = std::max(m.time.now_ns, m.sleepers.top().wake_ns);
  for (; !m.sleepers.empty() && m.sleepers.top().wake_ns <= m.time.now_ns; m.sleepers.pop())
    wake(*m.sleepers.top().thread);
}

std::string describe_wait(const Thread& thread) {
  if (!thread.running) return "have returned";
  if (thread.wait == nullptr) return "are ready";
  std::string what = std::string("wait at ") + thread.wait;
  if (thread.wait_mbarrier != nullptr) return what + describe_mbarrier(thread);
  if (thread.wait_mask != 0) what += " for lanes " + hex(thread.wait_mask);
  if (thread.wait_id != 0) what += " " + std::to_string(thread.wait_id);
  return what;
}

// One line for each group of lanes of a warp that wait for the same thing; warps that all returned are left out.
std::string describe(std::span<const std::unique_ptr<Block>> blocks) {
  constexpr int kLines = 24;
  std::string all;
  int lines = 0;
  for (const auto& block : blocks)
    for (std::size_t warp = 0; warp < block->warps.size(); ++warp) {
      std::map<std::string, unsigned> lanes_of;
      for (unsigned lane = 0; lane < kWarp; ++lane)
        if (const Thread* thread = block->warps[warp].threads[lane])
          lanes_of[describe_wait(*thread)] |= 1U << lane;
      if (lanes_of.size() == 1 && lanes_of.contains("have returned")) continue;
      for (const auto& [what, lanes] : lanes_of)
        if (++lines <= kLines)
          all += "\n  block " + text(block->index) + ", warp " + std::to_string(warp) + ": lanes " + hex(lanes) +
                 " " + what;
    }
  if (lines > kLines) all += "\n  and " + std::to_string(lines - kLines) + " more";
  return all;
}

unsigned count(dim3 d) { return d.x * d.y * d.z; }

uint3 index_of(unsigned linear, dim3 size) {
  return {linear % size.x, linear / size.x % size.y, linear / (size.x * size.y)};
}

Thread& idle_thread(std::size_t i) {
  Machine& m = machine();
  while (m.threads.size() <= i) {
    auto thread = std::make_unique<Thread>();
    thread->fiber = std::make_unique<Fiber>([raw = thread.get()](Fiber&) { call_kernel(*raw); });
    m.threads.push_back(std::move(thread));
  }
  return *m.threads[i];
}

// Puts the threads of block `linear` of the grid on stacks from `first_stack` on.
std::unique_ptr<Block> begin_block(const Config& config, unsigned linear, std::size_t first_stack) {
  auto block = std::make_unique<Block>();
  const unsigned threads = count(config.block);
  block->linear = linear;
  block->index = index_of(linear, config.grid);
  block->shared = std::make_unique<SharedMemory>(config.shared_bytes);
  block->warps.resize((threads + kWarp - 1) / kWarp);
  for (unsigned i = 0; i < threads; ++i) {
    Thread& thread = idle_thread(first_stack + i);
    thread.block = block.get();
    thread.linear = i;
    thread.index = index_of(i, config.block);
    thread.running = true;
    thread.wait = nullptr;
    thread.wait_mbarrier = nullptr;
    thread.open.clear();
    thread.groups.clear();
    thread.open_stores.clear();
    thread.store_groups.clear();
    thread.open_products.clear();
    thread.product_groups.clear();
    thread.sums.clear();
    thread.warpgroup_ready = false;
    block->warps[i / kWarp].lanes |= 1U << i % kWarp;
    block->warps[i / kWarp].threads[i % kWarp] = &thread;
  }
  block->running = threads;
  begin_warpgroups(*block);
  for (unsigned i = 0; i < threads; ++i)
    machine().ready.push_back(
        machine().threads[first_stack + (config.reversed ? threads - 1 - i : i)].get());
  return block;
}

// TMA takes its time: what was issued first, or last, comes when nobody can go on without it.
void begin_transfer() {
  Machine& m = machine();
  const std::function<void()> transfer = m.reversed ? m.transfers.back() : m.transfers.front();
  m.reversed ? m.transfers.pop_back() : m.transfers.pop_front();
  transfer();
}

void run_until_done(std::span<const std::unique_ptr<Block>> blocks) {
  constexpr unsigned kTurnsPerTransfer = 4096;  // where threads wait in loops
  Machine& m = machine();
  m.idle_turns = 0;
  unsigned turns = 0;
  for (;;) {
    if (!m.transfers.empty() && (m.ready.empty() || ++turns % kTurnsPerTransfer == 0)) {
      begin_transfer();
      continue;
    }
    wake_sleepers();
    if (m.ready.empty()) break;
    Thread& thread = *m.ready.front();
    m.ready.pop_front();
    take_turn(thread);
    if (m.failure) std::rethrow_exception(std::exchange(m.failure, nullptr));
    if (m.idle_turns > kIdleTurnsLimit)
      throw std::runtime_error("threads only wait in loops, and nobody ends their wait:" + describe(blocks));
  }
  for (const auto& block : blocks) {
    for (const Warp& warp : block->warps)
      for (const Thread* thread : warp.threads)
        if (thread != nullptr && thread->running)
          throw std::runtime_error("deadlock, no thread can go on:" + describe(blocks));
    if (block->shared->overrun())
      throw std::runtime_error("block " + text(block->index) + " wrote beyond its " +
                               std::to_string(block->shared->bytes()) + " bytes of shared memory");
  }
}

void join_cluster(std::span<const std::unique_ptr<Block>> blocks) {
  const auto barrier = std::make_shared<ClusterBarrier>();
  std::vector<Block*> all;
  for (const auto& block : blocks) all.push_back(block.get());
  for (const auto& block : blocks) {
    block->cluster = all;
    block->rank = static_cast<unsigned>(&block - blocks.data());
    block->cluster_barrier = barrier;
    barrier->threads += block->running;
  }
}

void run_blocks(const Config& config) {
  const unsigned blocks = count(config.grid), threads = count(config.block);
  const unsigned together_count = config.cooperative ? blocks : config.cluster;
  std::vector<std::unique_ptr<Block>> together;
  for (unsigned i = 0; i < blocks; ++i) {
    together.push_back(begin_block(config, i, together.size() * threads));
    if ((i + 1) % config.cluster == 0) join_cluster(std::span(together).last(config.cluster));
    if (together.size() < together_count) continue;
    run_until_done(together);
    together.clear();
  }
}

// One launch at a time; what it leaves behind when it throws are stacks in the middle of something.
class Occupied {
 public:
  explicit Occupied(const std::function<void()>& body) {
    if (machine().body != nullptr) throw std::logic_error("a launch within a launch");
    machine().body = &body;
  }
  ~Occupied() {
    Machine& m = machine();
    m.body = nullptr;
    m.current = nullptr;
    m.ready.clear();
    m.sleepers = {};
    m.transfers.clear();
    m.failure = nullptr;
    if (std::any_of(m.threads.begin(), m.threads.end(), [](const auto& thread) { return thread->running; }))
      m.threads.clear();
  }
  Occupied(const Occupied&) = delete;
  Occupied& operator=(const Occupied&) = delete;
};

void check(const Config& config) {
  if (config.cluster == 0 || config.grid.x % config.cluster != 0)
    throw std::runtime_error("clusters of " + std::to_string(config.cluster) + " blocks do not divide a grid of " +
                             std::to_string(config.grid.x));
  if (count(config.grid) == 0) throw std::runtime_error("a launch of no blocks");
  if (count(config.block) == 0 || count(config.block) > 1024)
    throw std::runtime_error("a block has 1 to 1024 threads, not " + std::to_string(count(config.block)));
  if (config.shared_bytes > 227 * 1024)
    throw std::runtime_error("a block of sm_90 has at most 232448 bytes of shared memory, not " +
                             std::to_string(config.shared_bytes));
}

Rendezvous& meeting(Warp& warp, const char* name, unsigned mask) {
  Rendezvous* free = nullptr;
  for (const auto& m : warp.meetings) {
    if (m->arrived != 0 && m->name == name && m->mask == mask) return *m;
    if (m->arrived == 0) free = m.get();
  }
  if (free == nullptr) free = warp.meetings.emplace_back(std::make_unique<Rendezvous>()).get();
  free->name = name;
  free->mask = mask;
  return *free;
}

}  // namespace

// The lanes in `mask` meet at `name`, a string with one address; the last one computes for all.
void collective(const char* name, unsigned mask, Complete complete, void* slot) {
  Thread& me = current(name);
  Warp& warp = me.block->warps[me.linear / kWarp];
  const unsigned own_lane = me.linear % kWarp;
  mask &= warp.lanes;
  if ((mask >> own_lane & 1U) == 0)
    throw std::runtime_error(std::string(name) + ": lane " + std::to_string(own_lane) +
                             " calls it, but is not in its mask " + hex(mask));
  Rendezvous& meet = meeting(warp, name, mask);
  meet.slots[own_lane] = slot;
  meet.arrived |= 1U << own_lane;
  if (meet.arrived != mask) {
    me.wait = name;
    me.wait_mask = mask;
    me.wait_id = 0;
    suspend(me);
    return;
  }
  complete(meet.slots, mask);
  meet.arrived = 0;
  machine().idle_turns = 0;
  for (unsigned rest = mask & ~(1U << own_lane); rest != 0; rest &= rest - 1)
    wake(*warp.threads[std::countr_zero(rest)]);
}

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

VirtualTime& virtual_time() { return machine().time; }

void run(const Config& config, const std::function<void()>& body) {
  check(config);
  const Occupied occupied(body);
  blockDim = config.block;
  gridDim = config.grid;
  machine().reversed = config.reversed;
  run_blocks(config);
}

void* dynamic_shared() { return current("dynamic_shared").block->shared->data(); }
std::size_t dynamic_shared_bytes() { return current("dynamic_shared_bytes").block->shared->bytes(); }
unsigned lane() { return current("lane").linear % kWarp; }
unsigned sm_id() { return current("sm_id").block->linear % kSms; }

std::uint64_t globaltimer_ns() {
  VirtualTime& time = machine().time;
  return time.now_ns += time.per_read_ns;
}

void nanosleep(std::uint64_t ns) {
  Machine& m = machine();
  Thread& me = current("nanosleep");
  ++m.idle_turns;
  me.wait = "nanosleep";
  me.wait_mask = me.wait_id = 0;
  m.sleepers.push({m.time.now_ns + ns, m.sleeps++, &me});
  suspend(me);
}

void yield() {
  Thread& me = current("yield");
  ++machine().idle_turns;
  machine().ready.push_back(&me);
  suspend(me);
}

void check_aligned(const void* address, std::size_t bytes, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(address) % bytes != 0)
    throw std::runtime_error(std::string(what) + ": the address is not a multiple of " + std::to_string(bytes));
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

void cp_async_16(void* shared, const void* global, bool valid) {
  check_aligned(shared, 16, "cp_async_16 to shared memory");
  if (valid) check_aligned(global, 16, "cp_async_16 from global memory");
  std::memset(shared, std::to_integer<int>(kPoison), 16);
  current("cp_async_16").open.push_back({shared, valid ? global : nullptr});
}

void cp_async_commit() {
  Thread& me = current("cp_async_commit");
  me.groups.push_back(std::move(me.open));
  me.open.clear();
}

void cp_async_wait(unsigned groups_left) {
  Thread& me = current("cp_async_wait");
  for (; me.groups.size() > groups_left; me.groups.pop_front())
    for (const Copy& copy : me.groups.front()) {
      if (copy.from != nullptr)
        std::memcpy(copy.to, copy.from, 16);
      else
        std::memset(copy.to, 0, 16);
    }
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
