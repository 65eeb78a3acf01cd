// How does device code run without a GPU? A .cuh, included after this header and compiled as plain C++, runs with
// each CUDA thread on a stack of its own; one thread of the host runs them in turn, changing at every collective.
//
//   #include "tests/cuda_emulator/emulator.hpp"       first
//   #include "kernels/matmul/tile.cuh"
//   emulator::launch(my_kernel, dim3(4), dim3(256), shared_bytes, a, b, c);
//
// Found by it: collectives that some thread never reaches, lanes that shuffle from absent lanes, misaligned
// 16-byte accesses, reads of shared memory nobody wrote (filled with 0xff: NaN, -1), writes beyond its end, reads
// of asynchronous copies before the wait. Not found: races between warps other than in the orders that were run,
// too few registers, bank conflicts, anything about speed.
#pragma once

#include "tests/cuda_emulator/hopper.hpp"
#include "tests/cuda_emulator/language.hpp"

// Of the thread that runs now.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace chokepoint::emulator {

struct Config {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  // All blocks at once, for kernels whose blocks wait for one another. Their waiting loops have to call nanosleep
  // or load_acquire, and their shared memory has to be dynamic. Without it blocks run one after another.
  bool cooperative = false;
  unsigned cluster = 1;   // blocks along x that run together and reach each other's shared memory
  bool reversed = false;  // threads begin in descending order: another order of everything between collectives
};

// What %globaltimer reads: it advances as threads take turns, and jumps when all of them sleep.
struct VirtualTime {
  std::uint64_t now_ns = 1'000'000'000;
  std::uint64_t per_turn_ns = 10;  // whenever a thread gets its turn
  std::uint64_t per_read_ns = 1;   // whenever a thread reads the timer
  std::uint64_t tick_ns = 1;       // what is read is a multiple of it
};
VirtualTime& virtual_time();

// Runs `body` as every thread of the grid. Throws std::runtime_error when no thread can go on (names block, warp
// and what each waits for), when threads only wait in loops, or what a thread threw, with its place in front.
void run(const Config& config, const std::function<void()>& body);

template <class... Params>
void launch(const Config& config, void (*kernel)(Params...), std::type_identity_t<Params>... args) {
  run(config, [&] { kernel(args...); });
}
template <class... Params>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes,
            std::type_identity_t<Params>... args) {
  run({.grid = grid, .block = block, .shared_bytes = shared_bytes}, [&] { kernel(args...); });
}

// What the helpers of ptx.cuh call.
void* dynamic_shared();
std::size_t dynamic_shared_bytes();
unsigned lane();
unsigned sm_id();  // block modulo 4
std::uint64_t globaltimer_ns();
void nanosleep(std::uint64_t ns);
void yield();
void check_aligned(const void* address, std::size_t bytes, const char* what);
void barrier(unsigned id, unsigned threads);
int barrier_counting(bool predicate);  // __syncthreads, and how many threads said true
// Shared memory holds 0xff from the copy's issue to its wait: neither old nor new data can be relied upon.
void cp_async_16(void* shared, const void* global, bool valid);
void cp_async_commit();
void cp_async_wait(unsigned groups_left);
void ldmatrix(std::uint32_t* to, unsigned matrices, bool transposed, const void* row);
void mma_bf16_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

enum class Shuffle { indexed, up, down, exclusive_or };
std::uint64_t shuffle(Shuffle kind, unsigned mask, std::uint64_t value, int argument, int width);
unsigned ballot(unsigned mask, bool predicate);
unsigned match_any(unsigned mask, std::uint64_t value);
void sync_warp(unsigned mask);

template <class T>
T shuffle_of(Shuffle kind, unsigned mask, T value, int argument, int width) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "CUDA shuffles values of 4 or 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = shuffle(kind, mask, bits, argument, width);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace chokepoint::emulator

inline void __syncthreads() { chokepoint::emulator::barrier(0, blockDim.x * blockDim.y * blockDim.z); }
inline int __syncthreads_count(int predicate) { return chokepoint::emulator::barrier_counting(predicate != 0); }
inline int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) > 0; }
inline int __syncthreads_and(int predicate) { return __syncthreads_count(predicate == 0) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffU) { chokepoint::emulator::sync_warp(mask); }

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
  return chokepoint::emulator::shuffle_of(chokepoint::emulator::Shuffle::indexed, mask, value, from, width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  return chokepoint::emulator::shuffle_of(chokepoint::emulator::Shuffle::exclusive_or, mask, value, bits, width);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return chokepoint::emulator::shuffle_of(chokepoint::emulator::Shuffle::up, mask, value,
                                          static_cast<int>(delta), width);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return chokepoint::emulator::shuffle_of(chokepoint::emulator::Shuffle::down, mask, value,
                                          static_cast<int>(delta), width);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return chokepoint::emulator::ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate == 0) == 0; }
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return chokepoint::emulator::match_any(mask, bits);
}
// CUDA promises no more than that the caller is among them.
inline unsigned __activemask() { return 1U << chokepoint::emulator::lane(); }

namespace chokepoint::emulator {
template <class T, class Combine>
T reduce_of(unsigned mask, T value, Combine combine) {
  // A lane outside the mask would not answer, so each lane of it is asked in turn.
  T result = __shfl_sync(mask, value, std::countr_zero(mask));
  for (unsigned rest = mask & (mask - 1); rest != 0; rest &= rest - 1)
    result = combine(result, __shfl_sync(mask, value, std::countr_zero(rest)));
  return result;
}
}  // namespace chokepoint::emulator

template <class T>
  requires chokepoint::emulator::OneOf<T, int, unsigned>
T __reduce_add_sync(unsigned mask, T value) {
  return chokepoint::emulator::reduce_of(mask, value, [](T a, T b) { return static_cast<T>(a + b); });
}
template <class T>
  requires chokepoint::emulator::OneOf<T, int, unsigned>
T __reduce_max_sync(unsigned mask, T value) {
  return chokepoint::emulator::reduce_of(mask, value, [](T a, T b) { return std::max(a, b); });
}
template <class T>
  requires chokepoint::emulator::OneOf<T, int, unsigned>
T __reduce_min_sync(unsigned mask, T value) {
  return chokepoint::emulator::reduce_of(mask, value, [](T a, T b) { return std::min(a, b); });
}

inline void __nanosleep(unsigned ns) { chokepoint::emulator::nanosleep(ns); }
inline long long clock64() { return static_cast<long long>(chokepoint::emulator::globaltimer_ns()); }
