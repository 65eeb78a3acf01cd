// How is a product told to cuBLASLt? The library found at run time, descriptors, the call; without a GPU.
//
// cuBLASLt thinks in columns: our row-major output [m, n] is its n x m matrix D = op(W) X. W is our b: [n, k]
// is k x n to it, taken transposed; [k, n] is n x k, taken as it is. X is our a, k x m. fp8: each has one scale, or
// one per 128 of k, or W one per 128 x 128 block (cuBLAS 13.1 header, cublasLtMatmulMatrixScale_t). Scales lie as
// they want them: of blocks, [n / 128, k / 128] with rows padded to 4; per 128 of k, [k / 128, n] or [k / 128, m].
#pragma once

#include <cublasLt.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/library.hpp"
#include "kernels/common/cuda/gemm.hpp"
#include "kernels/common/gemm_quantise.hpp"

namespace chokepoint {

// Block scales came with cuBLAS 12.9.
#if CUBLAS_VER_MAJOR > 12 || (CUBLAS_VER_MAJOR == 12 && CUBLAS_VER_MINOR >= 9)
#define CHOKEPOINT_CUBLASLT_BLOCK_SCALES 1
#else
#define CHOKEPOINT_CUBLASLT_BLOCK_SCALES 0
#endif

struct CublasLt {
  std::string missing;  // why it cannot be used; empty when it can
  std::string name;     // of the library that was opened
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtGetVersion) version = nullptr;
  decltype(&cublasLtGetStatusString) status_text = nullptr;
  decltype(&cublasLtMatmulDescCreate) product_create = nullptr;
  decltype(&cublasLtMatmulDescDestroy) product_destroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) product_set = nullptr;
  decltype(&cublasLtMatmulDescGetAttribute) product_get = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout_create = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy = nullptr;
  decltype(&cublasLtMatrixLayoutGetAttribute) layout_get = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) suggest = nullptr;
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) algorithm_get = nullptr;
  decltype(&cublasLtMatmul) multiply = nullptr;
};

inline CublasLt open_cublaslt() {
  const std::array<std::string, 3> names = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"};
  const auto library = Library::open(names);
  if (!library)
    return {.missing =
                "libcublasLt.so.13 is not installed; it comes with the CUDA toolkit. Name its folder in "
                "CHOKEPOINT_LIBRARY_PATH"};
  CublasLt found{.name = library->name()};
  const auto bind = [&](auto& function, const char* symbol) {
    library->bind(function, symbol, found.missing);
  };
  bind(found.create, "cublasLtCreate");
  bind(found.version, "cublasLtGetVersion");
  bind(found.status_text, "cublasLtGetStatusString");
  bind(found.product_create, "cublasLtMatmulDescCreate");
  bind(found.product_destroy, "cublasLtMatmulDescDestroy");
  bind(found.product_set, "cublasLtMatmulDescSetAttribute");
  bind(found.product_get, "cublasLtMatmulDescGetAttribute");
  bind(found.layout_create, "cublasLtMatrixLayoutCreate");
  bind(found.layout_destroy, "cublasLtMatrixLayoutDestroy");
  bind(found.layout_get, "cublasLtMatrixLayoutGetAttribute");
  bind(found.preference_create, "cublasLtMatmulPreferenceCreate");
  bind(found.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  bind(found.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  bind(found.suggest, "cublasLtMatmulAlgoGetHeuristic");
  bind(found.algorithm_get, "cublasLtMatmulAlgoConfigGetAttribute");
  bind(found.multiply, "cublasLtMatmul");
  return found;
}

inline const CublasLt& cublaslt() {
  static const CublasLt found = open_cublaslt();
  return found;
}

inline void check_cublaslt(cublasStatus_t status, const char* step) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(Fault::device, std::string("cuBLASLt: ") + step + ": " + cublaslt().status_text(status),
              "`chokepoint doctor` shows the GPU and the library that was found");
}

// Descriptors of one product, freed with it. The task's arrays are dense, in one group, without gather.
class CublasLtProduct {
 public:
  explicit CublasLtProduct(const GemmTask& task) {
    const bool nk = task.b_layout == GemmLayout::nk;
    const auto rows = static_cast<std::uint64_t>(task.m), cols = static_cast<std::uint64_t>(task.n),
               depth = static_cast<std::uint64_t>(task.k);
    const cudaDataType_t in = type_of(task.dtype);
    w_ = layout(in, nk ? depth : cols, nk ? cols : depth);
    x_ = layout(in, depth, rows);
    d_ = layout(type_of(task.c_dtype), cols, rows);
    // Pedantic: nothing but f32 arithmetic for f32 (no TF32).
    const cublasComputeType_t compute =
        task.dtype == Dtype::f32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
    cublasLtMatmulDesc_t product = nullptr;
    check_cublaslt(cublaslt().product_create(&product, compute, CUDA_R_32F), "creating a product");
    product_ = {product, [](cublasLtMatmulDesc_t made) { cublaslt().product_destroy(made); }};
    set(CUBLASLT_MATMUL_DESC_TRANSA, nk ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
  }

  // Device pointers to scales in cuBLASLt's order.
  void set_scales(gemm::Scaling scaling, const float* of_w, const float* of_x) {
    set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, of_w);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, of_x);
    if (scaling == gemm::Scaling::tensor) return;  // what a pointer means by default, in old libraries too
#if CHOKEPOINT_CUBLASLT_BLOCK_SCALES
    set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, scaling == gemm::Scaling::blocks
                                               ? CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F
                                               : CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F);
#endif
  }

  // How many of the device's multiprocessors the library may count on; 0: all.
  void set_multiprocessors(std::int32_t count) { set(CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, count); }

  // All that the library is told and that its answers can depend on, in numbers; arrays by whether there are any. Read
  // back from the descriptors, so that nothing is told to it that is not here.
  std::vector<std::uint64_t> told() const {
    std::vector<std::uint64_t> all;
    for (const auto attribute :
         {CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, CUBLASLT_MATMUL_DESC_SCALE_TYPE, CUBLASLT_MATMUL_DESC_POINTER_MODE,
          CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSB, CUBLASLT_MATMUL_DESC_EPILOGUE,
          CUBLASLT_MATMUL_DESC_FAST_ACCUM, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET})
      all.push_back(product_value(attribute));
    for (const auto attribute : {CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER})
      all.push_back(product_value(attribute) != 0 ? 1 : 0);
#if CHOKEPOINT_CUBLASLT_BLOCK_SCALES
    for (const auto attribute : {CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_DESC_B_SCALE_MODE})
      all.push_back(product_value(attribute));
#endif
    for (const cublasLtMatrixLayout_t matrix : {w(), x(), d()})
      for (const auto attribute : {CUBLASLT_MATRIX_LAYOUT_TYPE, CUBLASLT_MATRIX_LAYOUT_ORDER,
                                   CUBLASLT_MATRIX_LAYOUT_ROWS, CUBLASLT_MATRIX_LAYOUT_COLS, CUBLASLT_MATRIX_LAYOUT_LD})
        all.push_back(layout_value(matrix, attribute));
    return all;
  }

  cublasLtMatmulDesc_t product() const { return product_.get(); }
  cublasLtMatrixLayout_t w() const { return w_.get(); }
  cublasLtMatrixLayout_t x() const { return x_.get(); }
  cublasLtMatrixLayout_t d() const { return d_.get(); }

 private:
  template <class Handle>
  using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, void (*)(Handle)>;

  static cudaDataType_t type_of(Dtype dtype) {
    return dtype == Dtype::f32 ? CUDA_R_32F : dtype == Dtype::bf16 ? CUDA_R_16BF : CUDA_R_8F_E4M3;
  }

  // Columns follow each other without gaps.
  static Owned<cublasLtMatrixLayout_t> layout(cudaDataType_t type, std::uint64_t rows, std::uint64_t cols) {
    cublasLtMatrixLayout_t made = nullptr;
    check_cublaslt(cublaslt().layout_create(&made, type, rows, cols, static_cast<std::int64_t>(rows)),
                   "describing a matrix");
    return {made, [](cublasLtMatrixLayout_t old) { cublaslt().layout_destroy(old); }};
  }

  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, Value value) {
    check_cublaslt(cublaslt().product_set(product_.get(), attribute, &value, sizeof value),
                   "describing a product");
  }

  // Of whatever width, at most 8 bytes; what an older library does not know is its default, 0.
  std::uint64_t product_value(cublasLtMatmulDescAttributes_t attribute) const {
    std::uint64_t value = 0;
    std::size_t written = 0;
    const cublasStatus_t status = cublaslt().product_get(product_.get(), attribute, nullptr, 0, &written);
    if (status == CUBLAS_STATUS_SUCCESS && written <= sizeof value)
      cublaslt().product_get(product_.get(), attribute, &value, written, &written);
    return value;
  }
  static std::uint64_t layout_value(cublasLtMatrixLayout_t matrix, cublasLtMatrixLayoutAttribute_t attribute) {
    std::uint64_t value = 0;
    std::size_t written = 0;
    const cublasStatus_t status = cublaslt().layout_get(matrix, attribute, nullptr, 0, &written);
    if (status == CUBLAS_STATUS_SUCCESS && written <= sizeof value)
      cublaslt().layout_get(matrix, attribute, &value, written, &written);
    return value;
  }

  Owned<cublasLtMatmulDesc_t> product_{nullptr, nullptr};
  Owned<cublasLtMatrixLayout_t> w_{nullptr, nullptr}, x_{nullptr, nullptr}, d_{nullptr, nullptr};
};

// Enqueues the product of the task's arrays. `algorithm` is one that the library suggested for `product`.
inline cublasStatus_t enqueue_cublaslt(const CublasLt& library, cublasLtHandle_t handle, const GemmTask& task,
                                       const CublasLtProduct& product, const cublasLtMatmulAlgo_t& algorithm,
                                       void* workspace, std::size_t workspace_bytes, cudaStream_t stream) {
  const float one = 1.0F, zero = 0.0F;
  return library.multiply(handle, product.product(), &one, task.b, product.w(), task.a, product.x(), &zero,
                          task.c, product.d(), task.c, product.d(), &algorithm, workspace, workspace_bytes,
                          stream);
}

}  // namespace chokepoint
