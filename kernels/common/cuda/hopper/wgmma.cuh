// How does a warpgroup multiply? d[64, N] (+)= a[64, k] b[k, N] with sums in registers, a in shared memory or in
// registers, b in shared memory; k is 16 for bf16 and 32 for fp8 (e4m3).
//
//   float d[kN / 2];                             layout.hpp: accumulator_row, accumulator_column
//   sums_fence(d); warpgroup_arrive();           before the first product, and after touching d or a's registers
//   multiply_bf16<kN>(d, advanced(a, i * 32), advanced(b, i * 32), keep);      keep false: d = a b, true: d += a b
//   warpgroup_commit();
//   warpgroup_wait<0>(); sums_fence(d);          d may be read; the operands' shared memory may be written again
// All four warps of a warpgroup execute each of these together. Between issue and wait d must not be touched.
// Instructions: PTX ISA 9.0, "wgmma.mma_async". fp8 sums keep about 14 bits inside (DeepSeek-V3 report, section 3.3.2):
// add them up in f32 every 128 of k.
#pragma once

#include "kernels/common/cuda/hopper/layout.hpp"
#include "kernels/common/cuda/hopper/ptx.cuh"

namespace chokepoint::hopper {

// Of b: K-major, or (bf16 only) MN-major.
enum class Major { k = 0, mn = 1 };

// Widths there is code for.
constexpr bool has_product_width(int n) { return n > 0 && n <= 256 && (n % 16 == 0 || n == 8 || n == 24); }

#if defined(__CUDACC__)

// Shared memory and registers as they are now are what the next products see.
__device__ __forceinline__ void warpgroup_arrive() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void warpgroup_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Until at most `kGroupsLeft` committed groups are in flight.
template <int kGroupsLeft>
__device__ __forceinline__ void warpgroup_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kGroupsLeft) : "memory");
}
// Keeps the compiler from moving what it does with the sums across: products are asynchronous, and it cannot know.
template <int kCount>
__device__ __forceinline__ void sums_fence(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// The sums of each width: their names in the instruction, and as operands. One line adds to that above.
#define HOPPER_NAMES_4 "%0, %1, %2, %3"
#define HOPPER_NAMES_8 HOPPER_NAMES_4 ", %4, %5, %6, %7"
#define HOPPER_NAMES_12 HOPPER_NAMES_8 ", %8, %9, %10, %11"
#define HOPPER_NAMES_16 HOPPER_NAMES_12 ", %12, %13, %14, %15"
#define HOPPER_NAMES_24 HOPPER_NAMES_16 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define HOPPER_NAMES_32 HOPPER_NAMES_24 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define HOPPER_NAMES_40 HOPPER_NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define HOPPER_NAMES_48 HOPPER_NAMES_40 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define HOPPER_NAMES_56 HOPPER_NAMES_48 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define HOPPER_NAMES_64 HOPPER_NAMES_56 ", %56, %57, %58, %59, %60, %61, %62, %63"
#define HOPPER_NAMES_72 HOPPER_NAMES_64 ", %64, %65, %66, %67, %68, %69, %70, %71"
#define HOPPER_NAMES_80 HOPPER_NAMES_72 ", %72, %73, %74, %75, %76, %77, %78, %79"
#define HOPPER_NAMES_88 HOPPER_NAMES_80 ", %80, %81, %82, %83, %84, %85, %86, %87"
#define HOPPER_NAMES_96 HOPPER_NAMES_88 ", %88, %89, %90, %91, %92, %93, %94, %95"
#define HOPPER_NAMES_104 HOPPER_NAMES_96 ", %96, %97, %98, %99, %100, %101, %102, %103"
#define HOPPER_NAMES_112 HOPPER_NAMES_104 ", %104, %105, %106, %107, %108, %109, %110, %111"
#define HOPPER_NAMES_120 HOPPER_NAMES_112 ", %112, %113, %114, %115, %116, %117, %118, %119"
#define HOPPER_NAMES_128 HOPPER_NAMES_120 ", %120, %121, %122, %123, %124, %125, %126, %127"
#define HOPPER_SUMS_4 "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
#define HOPPER_SUMS_8 HOPPER_SUMS_4, "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])
#define HOPPER_SUMS_12 HOPPER_SUMS_8, "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11])
#define HOPPER_SUMS_16 HOPPER_SUMS_12, "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
#define HOPPER_SUMS_24 \
  HOPPER_SUMS_16, "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), \
  "+f"(d[23])
#define HOPPER_SUMS_32 \
  HOPPER_SUMS_24, "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), \
  "+f"(d[31])
#define HOPPER_SUMS_40 \
  HOPPER_SUMS_32, "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), \
  "+f"(d[39])
#define HOPPER_SUMS_48 \
  HOPPER_SUMS_40, "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), \
  "+f"(d[47])
#define HOPPER_SUMS_56 \
  HOPPER_SUMS_48, "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), \
  "+f"(d[55])
#define HOPPER_SUMS_64 \
  HOPPER_SUMS_56, "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), \
  "+f"(d[63])
#define HOPPER_SUMS_72 \
  HOPPER_SUMS_64, "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), \
  "+f"(d[71])
#define HOPPER_SUMS_80 \
  HOPPER_SUMS_72, "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), \
  "+f"(d[79])
#define HOPPER_SUMS_88 \
  HOPPER_SUMS_80, "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), \
  "+f"(d[87])
#define HOPPER_SUMS_96 \
  HOPPER_SUMS_88, "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]), "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), \
  "+f"(d[95])
#define HOPPER_SUMS_104 \
  HOPPER_SUMS_96, "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), \
  "+f"(d[103])
#define HOPPER_SUMS_112 \
  HOPPER_SUMS_104, "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), \
  "+f"(d[111])
#define HOPPER_SUMS_120 \
  HOPPER_SUMS_112, "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), \
  "+f"(d[119])
#define HOPPER_SUMS_128 \
  HOPPER_SUMS_120, "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), \
  "+f"(d[127])

template <int kN>
struct Products;

// X0 to X6 are what stands behind the sums: a (one descriptor, or four registers), b, keep, and for bf16 b's order.
#define HOPPER_PRODUCTS(N, SUMS, X0, X1, X2, X3, X4, X5, X6)                                                           \
  template <>                                                                                                          \
  struct Products<N> {                                                                                                 \
    template <Major kB>                                                                                                \
    __device__ static __forceinline__ void bf16(float (&d)[SUMS], std::uint64_t a, std::uint64_t b, int keep) {        \
      asm volatile("{.reg .pred keep; setp.ne.b32 keep, " X2 ", 0;"                                                    \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" HOPPER_NAMES_##SUMS "}, "              \
                   X0 ", " X1 ", keep, 1, 1, 0, " X3 ";}"                                                              \
                   : HOPPER_SUMS_##SUMS                                                                                \
                   : "l"(a), "l"(b), "r"(keep), "n"(static_cast<int>(kB)));                                            \
    }                                                                                                                  \
    template <Major kB>                                                                                                \
    __device__ static __forceinline__ void bf16(float (&d)[SUMS], const std::uint32_t (&a)[4], std::uint64_t b,        \
                                                int keep) {                                                            \
      asm volatile("{.reg .pred keep; setp.ne.b32 keep, " X5 ", 0;"                                                    \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" HOPPER_NAMES_##SUMS "}, "              \
                   "{" X0 ", " X1 ", " X2 ", " X3 "}, " X4 ", keep, 1, 1, " X6 ";}"                                    \
                   : HOPPER_SUMS_##SUMS                                                                                \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(keep), "n"(static_cast<int>(kB)));        \
    }                                                                                                                  \
    __device__ static __forceinline__ void fp8(float (&d)[SUMS], std::uint64_t a, std::uint64_t b, int keep) {         \
      asm volatile("{.reg .pred keep; setp.ne.b32 keep, " X2 ", 0;"                                                    \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k32.f32.e4m3.e4m3 {" HOPPER_NAMES_##SUMS "}, "              \
                   X0 ", " X1 ", keep, 1, 1;}"                                                                         \
                   : HOPPER_SUMS_##SUMS                                                                                \
                   : "l"(a), "l"(b), "r"(keep));                                                                       \
    }                                                                                                                  \
    __device__ static __forceinline__ void fp8(float (&d)[SUMS], const std::uint32_t (&a)[4], std::uint64_t b,         \
                                               int keep) {                                                             \
      asm volatile("{.reg .pred keep; setp.ne.b32 keep, " X5 ", 0;"                                                    \
                   "wgmma.mma_async.sync.aligned.m64n" #N "k32.f32.e4m3.e4m3 {" HOPPER_NAMES_##SUMS "}, "              \
                   "{" X0 ", " X1 ", " X2 ", " X3 "}, " X4 ", keep, 1, 1;}"                                            \
                   : HOPPER_SUMS_##SUMS                                                                                \
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(keep));                                   \
    }                                                                                                                  \
  };
HOPPER_PRODUCTS(8, 4, "%4", "%5", "%6", "%7", "%8", "%9", "%10")
HOPPER_PRODUCTS(16, 8, "%8", "%9", "%10", "%11", "%12", "%13", "%14")
HOPPER_PRODUCTS(24, 12, "%12", "%13", "%14", "%15", "%16", "%17", "%18")
HOPPER_PRODUCTS(32, 16, "%16", "%17", "%18", "%19", "%20", "%21", "%22")
HOPPER_PRODUCTS(48, 24, "%24", "%25", "%26", "%27", "%28", "%29", "%30")
HOPPER_PRODUCTS(64, 32, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
HOPPER_PRODUCTS(80, 40, "%40", "%41", "%42", "%43", "%44", "%45", "%46")
HOPPER_PRODUCTS(96, 48, "%48", "%49", "%50", "%51", "%52", "%53", "%54")
HOPPER_PRODUCTS(112, 56, "%56", "%57", "%58", "%59", "%60", "%61", "%62")
HOPPER_PRODUCTS(128, 64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
HOPPER_PRODUCTS(144, 72, "%72", "%73", "%74", "%75", "%76", "%77", "%78")
HOPPER_PRODUCTS(160, 80, "%80", "%81", "%82", "%83", "%84", "%85", "%86")
HOPPER_PRODUCTS(176, 88, "%88", "%89", "%90", "%91", "%92", "%93", "%94")
HOPPER_PRODUCTS(192, 96, "%96", "%97", "%98", "%99", "%100", "%101", "%102")
HOPPER_PRODUCTS(208, 104, "%104", "%105", "%106", "%107", "%108", "%109", "%110")
HOPPER_PRODUCTS(224, 112, "%112", "%113", "%114", "%115", "%116", "%117", "%118")
HOPPER_PRODUCTS(240, 120, "%120", "%121", "%122", "%123", "%124", "%125", "%126")
HOPPER_PRODUCTS(256, 128, "%128", "%129", "%130", "%131", "%132", "%133", "%134")

#undef HOPPER_PRODUCTS

#else  // the emulator's; contracts above and below

inline void warpgroup_arrive() { emulator::warpgroup_arrive(); }
inline void warpgroup_commit() { emulator::warpgroup_commit(); }
template <int kGroupsLeft>
inline void warpgroup_wait() {
  emulator::warpgroup_wait(kGroupsLeft);
}
template <int kCount>
inline void sums_fence(float (&)[kCount]) {}

template <int kN>
struct Products {
  template <Major kB>
  static void bf16(float (&d)[kN / 2], std::uint64_t a, std::uint64_t b, int keep) {
    emulator::wgmma({.n = kN, .b_mn_major = kB == Major::mn, .a = a, .b = b, .keep = keep != 0}, d);
  }
  template <Major kB>
  static void bf16(float (&d)[kN / 2], const std::uint32_t (&a)[4], std::uint64_t b, int keep) {
    emulator::wgmma({.n = kN, .b_mn_major = kB == Major::mn, .b = b, .keep = keep != 0, .a_registers = a}, d);
  }
  static void fp8(float (&d)[kN / 2], std::uint64_t a, std::uint64_t b, int keep) {
    emulator::wgmma({.n = kN, .fp8 = true, .a = a, .b = b, .keep = keep != 0}, d);
  }
  static void fp8(float (&d)[kN / 2], const std::uint32_t (&a)[4], std::uint64_t b, int keep) {
    emulator::wgmma({.n = kN, .fp8 = true, .b = b, .keep = keep != 0, .a_registers = a}, d);
  }
};

#endif

// `a` is a descriptor (K-major) or a thread's four registers; `b` a descriptor.
template <int kN, Major kB = Major::k, class A>
__device__ __forceinline__ void multiply_bf16(float (&d)[kN / 2], const A& a, std::uint64_t b, bool keep) {
  static_assert(has_product_width(kN), "there is code for 8, 24 and multiples of 16 up to 256");
  Products<kN>::template bf16<kB>(d, a, b, keep ? 1 : 0);
}
template <int kN, class A>
__device__ __forceinline__ void multiply_fp8(float (&d)[kN / 2], const A& a, std::uint64_t b, bool keep) {
  static_assert(has_product_width(kN), "there is code for 8, 24 and multiples of 16 up to 256");
  Products<kN>::fp8(d, a, b, keep ? 1 : 0);
}

}  // namespace chokepoint::hopper
