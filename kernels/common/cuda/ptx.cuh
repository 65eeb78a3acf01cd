// Which machine instructions do kernels use that CUDA C++ has no name for? Those of sm_80, one function each.
//
// Under nvcc the bodies are PTX; elsewhere they are those of tests/cuda_emulator/emulator.hpp, which has to be
// included first. Instructions and fragment layouts: PTX ISA 9.0.
#pragma once

#include <cstddef>
#include <cstdint>

#if !defined(__CUDACC__)
#if !defined(__launch_bounds__)
#error "device code needs nvcc, or tests/cuda_emulator/emulator.hpp included before it"
#endif
#endif

namespace chokepoint {

// bf16 values as bits; pairs with the lower index in the lower half.
__device__ __forceinline__ float bf16_to_float(std::uint16_t bits) {
  return __uint_as_float(static_cast<std::uint32_t>(bits) << 16);
}
__device__ __forceinline__ float low_bf16_to_float(std::uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_bf16_to_float(std::uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000U);
}

// OCP OFP8 1.0 E4M3: bias 7, no infinity, largest finite value 448.
__device__ __forceinline__ float e4m3_to_float_in_software(std::uint8_t code) {
  const std::uint32_t size = code & 0x7fU, sign = (code & 0x80U) << 24;
  if (size == 0x7fU) return __uint_as_float(0x7fffffffU);
  if (size < 8U) return __uint_as_float(__float_as_uint(static_cast<float>(size) * 0x1p-9F) | sign);
  return __uint_as_float(((size << 20) + (120U << 23)) | sign);
}

// Round to nearest even, saturates to +-448; NaN becomes 0x7f, as the instruction has it.
__device__ __forceinline__ std::uint8_t e4m3_from_float_in_software(float value) {
  const std::uint32_t bits = __float_as_uint(value), sign = bits >> 24 & 0x80U, size = bits & 0x7fffffffU;
  if (size > 0x7f800000U) return 0x7f;
  if (size >= 0x43e00000U) return static_cast<std::uint8_t>(sign | 0x7eU);
  if (size >= 0x3c800000U) {  // normal, from 2^-6 on
    const std::uint32_t rounded = size + 0x7ffffU + (size >> 20 & 1U);
    return static_cast<std::uint8_t>(sign | ((rounded >> 20) - (120U << 3)));
  }
  // Subnormals are multiples of 2^-9, the last place of 2^14: adding rounds to them.
  const float shifted = __uint_as_float(size) + 0x1p14F;
  return static_cast<std::uint8_t>(sign | (__float_as_uint(shifted) - __float_as_uint(0x1p14F)));
}

#if defined(__CUDACC__)

// The block's dynamic shared memory, from a multiple of 1024 bytes on.
__device__ __forceinline__ unsigned char* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char chokepoint_dynamic_shared[];
  return chokepoint_dynamic_shared;
}

__device__ __forceinline__ std::uint32_t shared_address(const void* shared) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}

// Copies 16 bytes to shared memory without waiting; writes zeros and reads nothing when not `valid`. Both
// addresses are multiples of 16.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(valid ? 16 : 0)
               : "memory");
}
// What this thread has issued since its last commit becomes one group.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `kGroupsLeft` groups of this thread are in flight. Others see the data after a barrier.
template <int kGroupsLeft>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
}

// Loads 8x8 matrices of 16-bit elements for the whole warp. Lanes 8i to 8i+7 point at the rows (16 bytes, aligned)
// of matrix i; r[i] receives elements 2t, 2t+1 of its row g, or of its column g for _trans (g = lane/4, t = lane%4).
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared_row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(shared_row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(std::uint32_t (&r)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(shared_row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(std::uint32_t (&r)[2], const void* shared_row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(shared_row))
               : "memory");
}

// d[16, 8] += a[16, 16] b[16, 8], for the whole warp. With g = lane/4, t = lane%4, as pairs along k:
// a0 (row g, k 2t), a1 (g+8, 2t), a2 (g, 2t+8), a3 (g+8, 2t+8); b0 (k 2t, column g), b1 (2t+8, g);
// d0, d1 (row g, columns 2t, 2t+1), d2, d3 (row g+8).
__device__ __forceinline__ void mma_bf16_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4],
                                                  const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Round to nearest even.
__device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

__device__ __forceinline__ std::uint16_t pack_e4m3(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return static_cast<std::uint16_t>(e4m3_from_float_in_software(low) | e4m3_from_float_in_software(high) << 8);
#endif
}
__device__ __forceinline__ void unpack_e4m3(std::uint16_t pair, float& low, float& high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  asm("{\n"
      ".reg .b32 halves; .reg .b16 first, second;\n"
      "cvt.rn.f16x2.e4m3x2 halves, %2;\n"
      "mov.b32 {first, second}, halves;\n"
      "cvt.f32.f16 %0, first;\n"
      "cvt.f32.f16 %1, second;\n"
      "}"
      : "=f"(low), "=f"(high)
      : "h"(pair));
#else
  low = e4m3_to_float_in_software(static_cast<std::uint8_t>(pair & 0xffU));
  high = e4m3_to_float_in_software(static_cast<std::uint8_t>(pair >> 8));
#endif
}

// 2^x to about 2 units in the last place; subnormal arguments and results become zero.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 16 bytes, aligned. The streaming ones are for global memory that is used once: they do not displace what the
// caches hold, and what they read must not be written during the launch.
__device__ __forceinline__ uint4 load_16(const void* from) { return *static_cast<const uint4*>(from); }
__device__ __forceinline__ void store_16(void* to, uint4 value) { *static_cast<uint4*>(to) = value; }
__device__ __forceinline__ uint4 load_16_streaming(const void* from) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(__cvta_generic_to_global(from)));
  return v;
}
__device__ __forceinline__ void store_16_streaming(void* to, uint4 v) {
  asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "r"(v.x),
               "r"(v.y), "r"(v.z), "r"(v.w)
               : "memory");
}

__device__ __forceinline__ unsigned lane_id() {
  unsigned id;
  asm("mov.u32 %0, %%laneid;" : "=r"(id));
  return id;
}
__device__ __forceinline__ unsigned sm_id() {
  unsigned id;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(id));
  return id;
}
__device__ __forceinline__ std::uint64_t globaltimer_ns() {
  std::uint64_t now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now)::"memory");
  return now;
}
// Every loop that waits for another block calls this, or load_acquire: the emulator hands over there.
__device__ __forceinline__ void nanosleep(unsigned ns) { __nanosleep(ns); }

// Barrier `id` (1 to 15; 0 is __syncthreads) of `threads` threads of the block, a multiple of 32.
__device__ __forceinline__ void barrier_sync(unsigned id, unsigned threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// Adds without an answer; other blocks see it at some time.
__device__ __forceinline__ void red_add(unsigned* at, unsigned value) {
  asm volatile("red.relaxed.gpu.global.add.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(at)), "r"(value)
               : "memory");
}
__device__ __forceinline__ void red_add(unsigned long long* at, unsigned long long value) {
  asm volatile("red.relaxed.gpu.global.add.u64 [%0], %1;" ::"l"(__cvta_generic_to_global(at)), "l"(value)
               : "memory");
}
__device__ __forceinline__ void red_add(float* at, float value) {
  asm volatile("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(__cvta_generic_to_global(at)), "f"(value)
               : "memory");
}

// Flags in global memory: who acquires the value that another released sees what that one wrote before.
__device__ __forceinline__ void red_add_release(unsigned* at, unsigned value) {
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(at)), "r"(value)
               : "memory");
}
__device__ __forceinline__ unsigned load_acquire(const unsigned* at) {
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
               : "=r"(value)
               : "l"(__cvta_generic_to_global(at))
               : "memory");
  return value;
}
__device__ __forceinline__ unsigned long long load_acquire(const unsigned long long* at) {
  unsigned long long value;
  asm volatile("ld.acquire.gpu.global.u64 %0, [%1];"
               : "=l"(value)
               : "l"(__cvta_generic_to_global(at))
               : "memory");
  return value;
}
__device__ __forceinline__ void store_release(unsigned* at, unsigned value) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(at)), "r"(value) : "memory");
}
__device__ __forceinline__ void store_release(unsigned long long* at, unsigned long long value) {
  asm volatile("st.release.gpu.global.u64 [%0], %1;" ::"l"(__cvta_generic_to_global(at)), "l"(value) : "memory");
}

#else  // the emulator's; contracts above

inline unsigned char* dynamic_shared() { return static_cast<unsigned char*>(emulator::dynamic_shared()); }
inline std::uint32_t shared_address(const void* shared) { return emulator::shared_address(shared); }

inline void cp_async_16(void* shared, const void* global, bool valid = true) {
  emulator::cp_async_16(shared, global, valid);
}
inline void cp_async_commit() { emulator::cp_async_commit(); }
template <int kGroupsLeft>
inline void cp_async_wait() {
  emulator::cp_async_wait(kGroupsLeft);
}

inline void ldmatrix_x4(std::uint32_t (&r)[4], const void* shared_row) {
  emulator::ldmatrix(r, 4, false, shared_row);
}
inline void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* shared_row) {
  emulator::ldmatrix(r, 4, true, shared_row);
}
inline void ldmatrix_x2(std::uint32_t (&r)[2], const void* shared_row) {
  emulator::ldmatrix(r, 2, false, shared_row);
}
inline void ldmatrix_x2_trans(std::uint32_t (&r)[2], const void* shared_row) {
  emulator::ldmatrix(r, 2, true, shared_row);
}
inline void mma_bf16_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  emulator::mma_bf16_m16n8k16(d, a, b);
}

inline std::uint32_t pack_bf16(float low, float high) {
  const auto rounded = [](float value) -> std::uint32_t {
    const std::uint32_t bits = __float_as_uint(value);
    if ((bits & 0x7fffffffU) > 0x7f800000U) return 0x7fffU;
    return (bits + 0x7fffU + (bits >> 16 & 1U)) >> 16;
  };
  return rounded(high) << 16 | rounded(low);
}
inline std::uint16_t pack_e4m3(float low, float high) {
  return static_cast<std::uint16_t>(e4m3_from_float_in_software(low) | e4m3_from_float_in_software(high) << 8);
}
inline void unpack_e4m3(std::uint16_t pair, float& low, float& high) {
  low = e4m3_to_float_in_software(static_cast<std::uint8_t>(pair & 0xffU));
  high = e4m3_to_float_in_software(static_cast<std::uint8_t>(pair >> 8));
}
inline float exp2_approx(float x) {
  const float y = ::exp2f(x);
  return y < 0x1p-126F ? 0.0F : y;
}

inline uint4 load_16(const void* from) {
  emulator::check_aligned(from, 16, "load_16");
  uint4 value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
inline void store_16(void* to, uint4 value) {
  emulator::check_aligned(to, 16, "store_16");
  std::memcpy(to, &value, sizeof value);
}
inline uint4 load_16_streaming(const void* from) { return load_16(from); }
inline void store_16_streaming(void* to, uint4 value) { store_16(to, value); }

inline unsigned lane_id() { return emulator::lane(); }
inline unsigned sm_id() { return emulator::sm_id(); }
inline std::uint64_t globaltimer_ns() { return emulator::globaltimer_ns(); }
inline void nanosleep(unsigned ns) { emulator::nanosleep(ns); }
inline void barrier_sync(unsigned id, unsigned threads) { emulator::barrier(id, threads); }

template <class T>
inline void red_add(T* at, std::type_identity_t<T> value) {
  atomicAdd(at, value);
}
inline void red_add_release(unsigned* at, unsigned value) { atomicAdd(at, value); }
inline unsigned load_acquire(const unsigned* at) {
  emulator::yield();
  return *at;
}
inline unsigned long long load_acquire(const unsigned long long* at) {
  emulator::yield();
  return *at;
}
inline void store_release(unsigned* at, unsigned value) { *at = value; }
inline void store_release(unsigned long long* at, unsigned long long value) { *at = value; }

#endif

// Convenience, the same for both.
__device__ __forceinline__ std::uint16_t bf16_from_float_rounded(float value) {
  return static_cast<std::uint16_t>(pack_bf16(value, 0.0F) & 0xffffU);
}
__device__ __forceinline__ std::uint8_t e4m3_from_float(float value) {
  return static_cast<std::uint8_t>(pack_e4m3(value, 0.0F) & 0xffU);
}
__device__ __forceinline__ float e4m3_to_float(std::uint8_t code) {
  float low, high;
  unpack_e4m3(code, low, high);
  return low;
}

}  // namespace chokepoint
