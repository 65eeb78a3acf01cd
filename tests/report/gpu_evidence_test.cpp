// Which kernels have been seen to be right on a GPU, as records tell?
#include "harness/report/gpu_evidence.hpp"

#include <gtest/gtest.h>

#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

Record on_gpu(const std::string& kernel, Dtype dtype, Status status, bool passed = true) {
  Record record = test::scaled_record("host", {1.0}, 1.0);
  record.operation = "matmul";
  record.kernel = kernel;
  record.dtype = dtype;
  record.status = status;
  record.verification->passed = passed;
  record.device = {{"kind", "cuda"}, {"name", "NVIDIA H100"}, {"architecture", "sm_90"}};
  return record;
}

const Kernel kKernel{
    .name = "hopper", .operation = "matmul", .device = "cuda", .dtypes = {Dtype::bf16, Dtype::fp8_e4m3}};

TEST(gpu_evidence, a_kernel_without_records_is_unverified) {
  EXPECT_EQ(gpu_evidence_text(kKernel, {}), "unverified on a GPU");
}

TEST(gpu_evidence, each_dtype_needs_a_record_of_its_own) {
  const GpuEvidence evidence = gpu_evidence({on_gpu("hopper", Dtype::bf16, Status::ok)});
  EXPECT_EQ(gpu_evidence_text(kKernel, evidence), "bf16: sm_90; fp8_e4m3: unverified on a GPU");
  const GpuEvidence both = gpu_evidence(
      {on_gpu("hopper", Dtype::bf16, Status::ok), on_gpu("hopper", Dtype::fp8_e4m3, Status::ok)});
  EXPECT_EQ(gpu_evidence_text(kKernel, both), "sm_90");
}

TEST(gpu_evidence, failed_wrong_and_foreign_records_prove_nothing) {
  Record on_cpu = on_gpu("hopper", Dtype::bf16, Status::ok);
  on_cpu.device["kind"] = "cpu";
  Record unchecked = on_gpu("hopper", Dtype::bf16, Status::ok);
  unchecked.verification.reset();
  EXPECT_TRUE(gpu_evidence({on_gpu("hopper", Dtype::bf16, Status::failed),
                            on_gpu("hopper", Dtype::bf16, Status::ok, false), on_cpu, unchecked})
                  .empty());
  const GpuEvidence foreign = gpu_evidence({on_gpu("cublaslt", Dtype::bf16, Status::ok)});
  EXPECT_EQ(gpu_evidence_text(kKernel, foreign), "unverified on a GPU");
}

TEST(gpu_evidence, committed_records_vouch_for_the_library_kernel) {
  const GpuEvidence evidence = gpu_evidence_in(std::string(CHOKEPOINT_SOURCE_DIR) + "/results");
  EXPECT_TRUE(evidence.contains("matmul/cublaslt/bf16"));
  EXPECT_TRUE(gpu_evidence_in("/nowhere").empty());
}

TEST(gpu_evidence, kernels_for_cpus_need_none) {
  EXPECT_EQ(gpu_evidence_text({.name = "cpu_native", .operation = "matmul", .dtypes = {Dtype::f32}}, {}), "");
}

}  // namespace
}  // namespace chokepoint
