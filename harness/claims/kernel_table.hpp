// How long does a kernel take on a machine, and who says so? Published rows ship as data
// (configs/kernels/<id>.json); records measured by chokepoint take the place of published rows of the same
// operation, shape and dtype (harness/claims/kernel_records.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/claims/grade.hpp"
#include "harness/claims/measured_use.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// One kernel at one shape. `value` is in `unit`'s base unit: "s", "FLOP/s", "B/s", or "B" (traffic per
// token).
struct KernelRow {
  std::string name;       // what the source calls it, or what it is in the model: "q_b forward"
  std::string operation;  // matmul, matmul_weight_gradient, grouped_matmul, masked_matmul, attention,
                          // attention_backward, dispatch, combine, traffic, layer_part
  Shape shape;  // fields of the operation of that name, as far as the source tells them
  Dtype dtype = Dtype::bf16;
  double value = 0.0;
  std::string unit;
  std::string machine;              // a profile's id
  std::optional<std::int64_t> sms;  // that it ran on; absent: all
  bool in_place = false;  // beside other work, as in a training step; otherwise alone on the machine
  bool logical = false;   // a rate of dispatch or combine that counts copies to the own node
  Grade grade = Grade::c;
  bool verified = true;
  std::string source, note;
  std::int64_t priority = 0;            // of its file; the higher one counts where several sources have a row
  std::optional<double> low_s, high_s;  // interval of a measured time
};

// Work of one launch, where the operation and its shape tell it.
std::optional<double> flop_of(const KernelRow& row);
std::optional<double> memory_bytes_of(const KernelRow& row);  // inputs read once, outputs written once

// From a time, or from a rate and the work; absent where neither says.
std::optional<double> time_s_of(const KernelRow& row);
std::optional<double> flop_per_s_of(const KernelRow& row);

struct KernelFile {
  std::string id, summary;
  std::vector<KernelRow> rows;
  std::string path, hash;
};

// Strict: throws Error{config} naming file, line and key.
KernelFile decode_kernel_file(const JsonFile& file);
std::vector<KernelFile> load_kernel_files(const std::string& configs);  // `configs`/kernels/*.json, by id

// A published row and the measured one that took its place, or was too slow to.
struct Replacement {
  KernelRow published, measured;
  double change = 0.0;  // measured time / published time - 1
};

// What a table answers: a time and the rows it comes from (several when it lies between them).
struct KernelTime {
  double time_s = 0.0;
  std::vector<const KernelRow*> rows;
};

// Seconds of it; its rows are added to `sources`.
double charged(std::vector<const KernelRow*>& sources, const KernelTime& time);

// All rows of one machine.
class KernelTable {
 public:
  KernelTable(std::string machine, const std::vector<KernelFile>& files);

  // `row` is of this machine already (measured there, or scaled to it). It replaces every published row of
  // its operation, shape and dtype that ran alone on the machine, unless a better measured row did; without
  // one it is a further row. With MeasuredUse::comparable it has to be about as fast as the fastest published one,
  // or, as a further row, as what lies between published ones of other sizes.
  void add_measured(const KernelRow& row, MeasuredUse use = MeasuredUse::comparable);

  // The row with exactly these fields among its own: measured before published, alone before in place, then
  // by priority.
  const KernelRow* find(std::string_view operation, const Shape& fields, Dtype dtype) const;
  // Throws Error{config} that names what is missing.
  const KernelRow& at(std::string_view operation, const Shape& fields, Dtype dtype) const;
  double time_s(std::string_view operation, const Shape& fields, Dtype dtype) const;

  // Between rows that differ in `varied` (up to two fields): linear in each, below the smallest row its time,
  // above the largest its time in proportion. `fields` holds the values asked for. Throws Error{config} where
  // there is no row.
  KernelTime between(std::string_view operation, const Shape& fields, Dtype dtype,
                     const std::vector<std::string>& varied) const;

  const std::string& machine() const { return machine_; }
  const std::vector<KernelRow>& rows() const { return rows_; }
  const std::vector<Replacement>& replacements() const { return replacements_; }
  const std::vector<Replacement>& slower() const { return slower_; }  // by case, the fastest one that was too slow

 private:
  std::vector<std::int64_t> points_of(std::string_view operation, const Shape& fields, Dtype dtype,
                                      const std::string& field) const;
  void note_replacement(std::size_t index, const KernelRow& row, double time_s);
  std::optional<KernelRow> fastest_published(const KernelRow& row) const;
  std::optional<KernelRow> between_published(const KernelRow& row) const;
  bool is_too_slow(const KernelRow& row, double time_s);

  std::string machine_;
  std::vector<KernelRow> rows_;
  std::vector<std::optional<std::size_t>> replacement_of_;  // by row: its place in replacements_
  std::vector<Replacement> replacements_, slower_;
};

}  // namespace chokepoint
