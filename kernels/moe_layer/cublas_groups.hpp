// How is a grouped product told to cuBLAS? The library found at run time, its arrays, and the calls.
//
// cuBLAS thinks in columns: an expert's row-major output [rows, n] is its n x rows matrix C = A^T B, with A
// the weight [n, k] as k x n and B the rows [rows, k] as k x rows. Experts without rows are left out.
#pragma once

#include <cublas_v2.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/library.hpp"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/gemm.hpp"
#include "kernels/moe_layer/grouped_product.hpp"

// Grouped products in bf16 came with cuBLAS 12.5.
#if CUBLAS_VER_MAJOR < 12 || (CUBLAS_VER_MAJOR == 12 && CUBLAS_VER_MINOR < 5)
#error "the grouped products of cuBLAS need headers of 12.5 or later"
#endif

namespace chokepoint::moe {

struct Cublas {
  std::string missing;  // why it cannot be used; empty when it can
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasSetStream_v2) set_stream = nullptr;
  decltype(&cublasSetWorkspace_v2) set_workspace = nullptr;
  decltype(&cublasSetSmCountTarget) set_multiprocessors = nullptr;
  decltype(&cublasGetStatusString) status_text = nullptr;
  decltype(&cublasGemmGroupedBatchedEx) multiply = nullptr;
};

inline Cublas open_cublas() {
  const std::array<std::string, 3> names = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};
  const auto library = Library::open(names);
  if (!library)
    return {.missing =
                "libcublas.so.13 is not installed; it comes with the CUDA toolkit. Name its folder in "
                "CHOKEPOINT_LIBRARY_PATH"};
  Cublas found;
  const auto bind = [&](auto& function, const char* symbol) {
    library->bind(function, symbol, found.missing);
  };
  bind(found.create, "cublasCreate_v2");
  bind(found.set_stream, "cublasSetStream_v2");
  bind(found.set_workspace, "cublasSetWorkspace_v2");
  bind(found.set_multiprocessors, "cublasSetSmCountTarget");
  bind(found.status_text, "cublasGetStatusString");
  bind(found.multiply, "cublasGemmGroupedBatchedEx");
  return found;
}

inline const Cublas& cublas() {
  static const Cublas found = open_cublas();
  return found;
}

inline void check_cublas(cublasStatus_t status, const char* step) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(status == CUBLAS_STATUS_NOT_SUPPORTED ? Fault::unsupported : Fault::device,
              std::string("moe_layer/cublas: ") + step + ": " + cublas().status_text(status),
              "`chokepoint doctor` shows the GPU and the library that was found");
}

// By group: one expert each.
struct CublasGroups {
  std::vector<cublasOperation_t> a_operation, b_operation;
  std::vector<int> m, n, k, a_stride, b_stride, c_stride, size;
  std::vector<float> alpha, beta;
  std::vector<const void*> a, b;  // addresses are the device's
  std::vector<void*> c;

  int count() const { return static_cast<int>(size.size()); }
};

// Every array is dense, as layer_with_products has them.
inline CublasGroups cublas_groups(const GemmTask& task, std::span<const std::int32_t> group_begin) {
  constexpr std::int64_t kBytes = 2;  // of a bf16
  const int columns = static_cast<int>(task.n), depth = static_cast<int>(task.k);
  CublasGroups groups;
  for (std::int64_t group = 0; group < task.groups; ++group) {
    const std::int64_t first = group_begin[static_cast<std::size_t>(group)];
    const std::int64_t rows = group_begin[static_cast<std::size_t>(group) + 1] - first;
    if (rows == 0) continue;
    groups.a_operation.push_back(CUBLAS_OP_T);
    groups.b_operation.push_back(CUBLAS_OP_N);
    groups.m.push_back(columns);
    groups.n.push_back(static_cast<int>(rows));
    groups.k.push_back(depth);
    groups.a_stride.push_back(depth);
    groups.b_stride.push_back(depth);
    groups.c_stride.push_back(columns);
    groups.size.push_back(1);
    groups.alpha.push_back(1.0F);
    groups.beta.push_back(0.0F);
    groups.a.push_back(static_cast<const std::byte*>(task.b) + group * task.n * task.k * kBytes);
    groups.b.push_back(static_cast<const std::byte*>(task.a) + first * task.k * kBytes);
    groups.c.push_back(static_cast<std::byte*>(task.c) + first * task.n * kBytes);
  }
  return groups;
}

// Products of one handle follow each other, and may share the workspace.
class CublasProduct final : public GroupedProduct {
 public:
  CublasProduct(Device& device, const Cublas& library, cublasHandle_t handle, CublasGroups groups,
                DeviceArray workspace)
      : library_(library),
        handle_(handle),
        all_multiprocessors_(device.facts().workers),
        groups_(std::move(groups)),
        a_(uploaded(device, groups_.a)),
        b_(uploaded(device, groups_.b)),
        c_(uploaded(device, groups_.c)),
        workspace_(std::move(workspace)) {}

  void enqueue(void* stream, int multiprocessors) const override {
    check_cublas(library_.set_stream(handle_, static_cast<cudaStream_t>(stream)), "choosing a stream");
    // A new stream takes the workspace away.
    check_cublas(library_.set_workspace(handle_, workspace_.as<void>(), static_cast<std::size_t>(workspace_.bytes())),
                 "giving it a workspace");
    // 0 is the library's word for all of them.
    check_cublas(library_.set_multiprocessors(handle_, multiprocessors < all_multiprocessors_ ? multiprocessors : 0),
                 "saying how many multiprocessors there are");
    const CublasGroups& g = groups_;
    check_cublas(library_.multiply(handle_, g.a_operation.data(), g.b_operation.data(), g.m.data(), g.n.data(),
                                   g.k.data(), g.alpha.data(), a_.as<const void*>(), CUDA_R_16BF, g.a_stride.data(),
                                   b_.as<const void*>(), CUDA_R_16BF, g.b_stride.data(), g.beta.data(),
                                   c_.as<void*>(), CUDA_R_16BF, g.c_stride.data(), g.count(), g.size.data(),
                                   CUBLAS_COMPUTE_32F),
                 "enqueuing a grouped product");
  }

 private:
  template <class Pointer>
  static DeviceArray uploaded(Device& device, const std::vector<Pointer>& pointers) {
    return {device, pointers.data(), static_cast<std::int64_t>(pointers.size() * sizeof(Pointer))};
  }

  const Cublas& library_;
  cublasHandle_t handle_;
  int all_multiprocessors_;
  CublasGroups groups_;
  DeviceArray a_, b_, c_, workspace_;
};

}  // namespace chokepoint::moe
