// The scheduler: launches, turns, time, and how the lanes of a warp wait for one another.
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

}  // namespace

std::string hex(unsigned bits) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "0x%08x", bits);
  return buffer;
}

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
  time.now_ns += time.per_read_ns;
  return time.now_ns - time.now_ns % time.tick_ns;
}

void nanosleep(std::uint64_t ns) {
  if (ns == 0) return yield();  // woken at once, it would go before all that are ready
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

}  // namespace chokepoint::emulator
