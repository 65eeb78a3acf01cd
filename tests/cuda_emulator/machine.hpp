// What does the emulator consist of? Threads, warps, blocks and the machine that runs them; shared by its parts.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "tests/cuda_emulator/emulator.hpp"
#include "tests/cuda_emulator/fiber.hpp"
#include "tests/cuda_emulator/tensor_map.hpp"

namespace chokepoint::emulator {

inline constexpr unsigned kWarp = 32, kBarriers = 16;
inline constexpr unsigned kSms = 4;
inline constexpr std::size_t kSharedAlignment = 1024;
inline constexpr std::size_t kCanaryBytes = 1024;
inline constexpr std::byte kPoison{0xff}, kCanary{0xa5};
// Turns in a row that only went to threads which wait in loops; less than a second of the host's time.
inline constexpr std::uint64_t kIdleTurnsLimit = 4'000'000;

using Slots = std::array<void*, kWarp>;  // each lane's arguments and results, on its own stack
using Complete = void (*)(const Slots& slots, unsigned mask);

struct Rendezvous {
  unsigned mask = 0, arrived = 0;
  const char* name = nullptr;
  Slots slots{};
};

struct Thread;
struct Block;

struct Warp {
  unsigned lanes = 0;  // those that exist
  std::array<Thread*, kWarp> threads{};
  std::vector<std::unique_ptr<Rendezvous>> meetings;
};

struct Barrier {
  unsigned expected = 0, arrived = 0;
  int said_true = 0;
  std::vector<Thread*> waiting;
};

// Ends with bytes that nobody may change.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes) : bytes_(bytes) {
    const std::size_t rounded = (bytes + kCanaryBytes + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment;
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kSharedAlignment, rounded)));
    if (!memory_) throw std::bad_alloc();
    std::fill_n(memory_.get(), bytes, kPoison);
    std::fill_n(memory_.get() + bytes, kCanaryBytes, kCanary);
  }
  std::byte* data() const { return memory_.get(); }
  std::size_t bytes() const { return bytes_; }
  bool overrun() const {
    return std::any_of(data() + bytes_, data() + bytes_ + kCanaryBytes, [](std::byte b) { return b != kCanary; });
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t bytes_;
};

struct Mbarrier {
  unsigned count = 0, pending = 0;  // arrivals
  std::int64_t bytes = 0;           // expected and not yet there
  unsigned phase = 0;               // number of the one under way
  std::vector<Thread*> waiting;     // for it to end
};

// Of a cluster: all threads arrive, then all may go on.
struct ClusterBarrier {
  unsigned threads = 0, arrived = 0, phase = 0;
  std::vector<Thread*> waiting;
};

// One product as one thread asked for it. Executed when somebody waits for it, from shared memory as it is then.
struct Product {
  WarpgroupProduct what;
  std::array<std::uint32_t, 4> a_registers{};
  float* d = nullptr;
};

// Sums of products in flight: not in the thread's registers meanwhile, where NaN shows that nobody may look.
struct Sums {
  float* d = nullptr;
  std::vector<float> values;
  int products = 0;  // in flight
};

struct Warpgroup {
  std::vector<Thread*> threads;
  int registers = 0;             // a thread may use
  std::vector<Thread*> waiting;  // in warpgroup_wait
  unsigned groups_left = 0;
  std::vector<Thread*> waiting_for_registers;
  int wanted_registers = 0;
};

// Written by stmatrix or an ordinary store of a tile and not yet visible to TMA and wgmma of others: that takes a proxy
// fence of the writer, then a barrier.
struct Unfenced {
  std::uintptr_t begin, end;
  const Thread* writer;
  bool fenced = false;
};

// A TMA store, read from shared memory as late as the rules allow.
struct BulkStore {
  hopper::TensorBoxes boxes;
  std::array<int, 5> at{};
  std::byte* from = nullptr;
  bool add = false;
};

struct Block {
  uint3 index{};
  unsigned linear = 0;
  std::vector<Warp> warps;
  std::array<Barrier, kBarriers> barriers;
  std::unique_ptr<SharedMemory> shared;
  unsigned running = 0;                  // threads that have not returned
  std::vector<Block*> cluster;           // by rank; itself when there is none
  unsigned rank = 0;                     // in the cluster
  std::shared_ptr<ClusterBarrier> cluster_barrier;
  std::map<std::uintptr_t, Mbarrier> mbarriers;  // by address
  std::vector<Warpgroup> warpgroups;
  std::vector<Unfenced> unfenced;
};

struct Copy {
  void* to;
  const void* from;  // null: zeros
};

struct Thread {
  std::unique_ptr<Fiber> fiber;
  Block* block = nullptr;
  unsigned linear = 0;
  uint3 index{};
  bool running = false;  // the kernel has begun and not returned
  const char* wait = nullptr;  // what it waits at; null when it is ready
  unsigned wait_mask = 0, wait_id = 0;
  int barrier_result = 0;
  std::vector<Copy> open;                 // issued, not committed
  std::deque<std::vector<Copy>> groups;   // committed, oldest first
  std::vector<BulkStore> open_stores;
  std::deque<std::vector<BulkStore>> store_groups;
  std::vector<Product> open_products;
  std::deque<std::vector<Product>> product_groups;
  std::vector<Sums> sums;
  bool warpgroup_ready = false;           // has called warpgroup_arrive since it last waited
  const Mbarrier* wait_mbarrier = nullptr;
  std::uintptr_t wait_address = 0;
  unsigned wait_parity = 0;
  unsigned cluster_phase = 0;             // of its last arrival
};

struct Sleeper {
  std::uint64_t wake_ns, order;
  Thread* thread;
  bool operator>(const Sleeper& other) const {
    return std::pair(wake_ns, order) > std::pair(other.wake_ns, other.order);
  }
};

struct Machine {
  VirtualTime time;
  const std::function<void()>* body = nullptr;  // null when nothing is launched
  std::vector<std::unique_ptr<Thread>> threads;  // kept between blocks and launches
  Thread* current = nullptr;
  std::deque<Thread*> ready;
  std::priority_queue<Sleeper, std::vector<Sleeper>, std::greater<>> sleepers;
  std::uint64_t sleeps = 0, idle_turns = 0;
  std::deque<std::function<void()>> transfers;  // issued to TMA, not yet begun
  bool reversed = false;
  std::exception_ptr failure;
};

Machine& machine();
Thread& current(const char* what);            // throws outside of a launch
void suspend(Thread& thread);                 // gives the turn away; somebody else wakes the thread
void wake(Thread& thread);
void give_way();                              // all others that can go on do so first: who was told too early shows
std::string place(const Thread& thread);
inline unsigned count(dim3 d) { return d.x * d.y * d.z; }  // threads of a block or blocks of a grid
std::string hex(unsigned bits);               // 0x0000ffff
void require_full_warp(const char* name);
// The lanes in `mask` meet at `name`, a string with one address; the last one computes for all.
void collective(const char* name, unsigned mask, Complete complete, void* slot);

// hopper.cpp
inline constexpr std::uint32_t kSystemSharedBytes = 1024;  // before the block's own shared memory, on sm_90
std::string hex_offset(std::uint64_t offset);
std::uintptr_t number(const void* address);
std::uintptr_t offset_in(const Block& block, const void* address);  // in its shared memory
std::uint32_t permuted(std::uint32_t address, hopper::Swizzle swizzle);
// A thread meets others, or tells them that it was here: what it fenced is visible to them.
void publish_fenced(const Thread& thread);
// Throws when a thread wrote there, and has not fenced and then met others since.
void require_fenced(const Block& block, std::uintptr_t begin, std::size_t bytes, const char* what);
void thread_returned(Thread& thread);          // throws when it left something in flight
std::string describe_mbarrier(const Thread& thread);

// warpgroup.cpp
void begin_warpgroups(Block& block);


}  // namespace chokepoint::emulator
