// `verify`: one problem, one kernel, checked in full; --dump writes every array so that anybody can recompute
// it.
#include "harness/run/verify.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "harness/cli/command.hpp"
#include "harness/device/device.hpp"

namespace chokepoint {
namespace {

struct VerifyFlags {
  std::string operation, shape, dtype = "f32", kernel = "cpu_native", dump, device = "cpu",
                                distribution = "normal";
  std::uint64_t seed = 1;
};

Dtype parse_dtype(const std::string& name) {
  static const std::vector<std::string> known = {"f32", "bf16", "fp8_e4m3"};
  const std::optional<Dtype> dtype = dtype_from(name);
  if (!dtype || std::find(known.begin(), known.end(), name) == known.end())
    throw Error(Fault::config, fmt::format("dtype \"{}\" is unknown", name), suggestion(name, known));
  return *dtype;
}

Tensor reference_tensor(const Problem& problem, const Answer& answer) {
  Tensor tensor("reference", problem.output_dims(), Dtype::f64, "as output, in double precision");
  std::copy(answer.reference.begin(), answer.reference.end(), tensor.as<double>().begin());
  return tensor;
}

// problem.json names every array: role, file, dims, dtype, how its bits are stored, layout.
void dump(const VerifyFlags& flags, const Shape& shape, Dtype dtype, const Problem& problem, const Answer& answer,
          const Tensor& output, const Verification& verification) {
  require_writable_folder(flags.dump);
  Json arrays = Json::array();
  const auto write = [&](const Tensor& tensor) {
    const std::string file = tensor.role() + ".npy";
    write_npy(flags.dump + "/" + file, tensor);
    const char* stored = tensor.dtype() == Dtype::bf16       ? "uint16 bits of bfloat16"
                         : tensor.dtype() == Dtype::fp8_e4m3 ? "uint8 bits of OCP E4M3"
                                                             : "as is";
    arrays.push_back({{"role", tensor.role()},
                      {"file", file},
                      {"shape", tensor.dims()},
                      {"dtype", to_string(tensor.dtype())},
                      {"stored", stored},
                      {"layout", tensor.layout()}});
  };
  for (const Tensor* input : problem.inputs()) write(*input);
  for (const Tensor& extra : problem.extras()) write(extra);
  write(output);
  write(reference_tensor(problem, answer));
  Json fields = Json::object();
  for (const auto& [field, value] : shape.values())
    std::visit([&, &name = field](const auto& inner) { fields[name] = inner; }, value);
  const Json json = {{"schema", "chokepoint/problem/1"},
                     {"operation", flags.operation},
                     {"kernel", flags.kernel},
                     {"shape", fields},
                     {"dtype", to_string(dtype)},
                     {"seed", flags.seed},
                     {"input_distribution", flags.distribution},
                     {"error", verification.error ? Json(*verification.error) : Json(nullptr)},
                     {"error_meaning", "largest |output - reference| / (|reference| + rms(reference))"},
                     {"row_error", verification.row_error ? Json(*verification.row_error) : Json(nullptr)},
                     {"row_error_meaning",
                      "the same with the rms of the element's own row; this one has to stay within the tolerance"},
                     {"tolerance", verification.tolerance},
                     {"passed", verification.passed},
                     {"arrays", arrays}};
  replace_file(flags.dump + "/problem.json", json.dump(2) + "\n");
}

void verify(const VerifyFlags& flags, Session& session) {
  const Operation& operation = find_operation(flags.operation);
  const Kernel& kernel = find_kernel(flags.operation, flags.kernel);
  const Shape shape = complete_shape(operation, parse_shape(flags.shape));
  const Dtype dtype = parse_dtype(flags.dtype);
  for (const auto& [name, dtypes] :
       {std::pair{"operation " + operation.name, operation.dtypes}, {"kernel " + kernel.name, kernel.dtypes}})
    if (std::find(dtypes.begin(), dtypes.end(), dtype) == dtypes.end())
      throw Error(Fault::unsupported, fmt::format("{} does not know {}", name, flags.dtype),
                  "choose another --dtype");
  if (const std::optional<std::string> why = kernel.unsupported(shape, dtype))
    throw Error(Fault::unsupported, fmt::format("kernel {}: {}", kernel.name, *why),
                "choose another --kernel");
  const std::unique_ptr<Device> device = open_device(flags.device);
  const std::unique_ptr<Problem> problem = operation.make(shape, dtype, {flags.seed, flags.distribution});
  const std::unique_ptr<Launch> launch = kernel.prepare(*problem, *device, Pace{});
  launch->poison();
  launch->run();
  const Answer answer = answer_of(*problem, 1e300);  // every row
  const Verification verification = compare(*problem, answer, launch->output());
  if (!flags.dump.empty()) dump(flags, shape, dtype, *problem, answer, launch->output(), verification);
  const Work work = problem->work();
  if (session.json) {
    print_json({{"operation", flags.operation},
                {"kernel", flags.kernel},
                {"shape", shape.text()},
                {"dtype", flags.dtype},
                {"error", verification.error ? Json(*verification.error) : Json(nullptr)},
                {"row_error", verification.row_error ? Json(*verification.row_error) : Json(nullptr)},
                {"tolerance", verification.tolerance},
                {"passed", verification.passed},
                {"rows", verification.rows},
                {"flop", work.flop},
                {"memory_bytes", work.memory_bytes},
                {"link_bytes", work.link_bytes},
                {"network_bytes", work.network_bytes},
                {"tokens", work.tokens}});
  } else {
    fmt::print("{}/{} {} {}\n", flags.operation, flags.kernel, flags.dtype, shape.text());
    fmt::print("  {}: error {}, tolerance {:.3g}, all {} rows of {} checked\n",
               verification.passed ? "right" : "WRONG",
               verification.row_error ? fmt::format("{:.3g}", *verification.row_error) : "not finite",
               verification.tolerance, verification.rows, problem->output_row_length());
    fmt::print(
        "  work: {:.6g} FLOP, memory {:.6g} B, link {:.6g} B, network {:.6g} B per direction, {:.6g} "
        "tokens\n",
        work.flop, work.memory_bytes, work.link_bytes, work.network_bytes, work.tokens);
    if (!flags.dump.empty()) fmt::print("  arrays: {}/problem.json and .npy files\n", flags.dump);
  }
  if (!verification.passed) session.exit_code = kSomeCaseFailed;
}

const Register<Command> verify_command{
    {.name = "verify",
     .place = 5,
     .summary = "check one problem in full; --dump writes inputs, output and reference as .npy",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<VerifyFlags>();
       app.add_option("operation", flags->operation, "see `chokepoint list operations`")
           ->required()
           ->option_text("OPERATION");
       app.add_option("--shape", flags->shape, "fields of the shape")->required()->option_text("k=v,..");
       app.add_option("--dtype", flags->dtype, "f32, bf16 or fp8_e4m3")->option_text("T");
       app.add_option("--kernel", flags->kernel, "see `chokepoint list kernels`")->option_text("K");
       app.add_option("--device", flags->device, "cpu or cuda:N")->option_text("DEVICE");
       app.add_option("--seed", flags->seed, "of the inputs")->check(CLI::NonNegativeNumber)->option_text("N");
       app.add_option("--distribution", flags->distribution, "of the inputs: normal, uniform, zeros")
           ->option_text("NAME");
       app.add_option("--dump", flags->dump, "folder for problem.json and one .npy per array")
           ->option_text("DIR");
       app.callback([flags, &session] { verify(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
