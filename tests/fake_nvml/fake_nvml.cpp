// A library that answers like NVML, from a script: the file named by CHOKEPOINT_FAKE_NVML, read at nvmlInit.
//
//   driver = 580.65.06            log = /tmp/calls         set and reset calls are appended there, one a line
//   init_code = 9                 nvmlInit_v2 answers this
//   clock = script                time stands still but for fake_nvml_pass and readings of the counter
//   read_us = 2400                that each of those takes then
//   [gpu]                         one section per GPU, in NVML's order
//   bus = 00000000:3B:00.0        uuid = GPU-1             name = Fake H100
//   power_w = 400                 or steps "0:80 2:400": seconds since nvmlInit, watts from then on
//   memory_power_w = 60           scope 2 of the power fields
//   tick_ms = 100                 the counter moves that often
//   lag_ms = 100                  and tells what had been used this long ago
//   refresh_ms = 25               of instant power       power_lag_ms = 0
//   gain = 1.0                    of counter and power     counter_gain = 1.0   of the counter alone
//   noise = 0.01                  relative deviation of an instant reading; a counter tick has that much of a tick
//   sm_mhz max_sm_mhz memory_mhz max_memory_mhz temperature_c throttle limit_w default_limit_w mig persistence
//   ecc processes                 numbers
//   memory_clocks = 2619 1593     supported ones, MHz
//   sm_clocks = 1980 345 15       highest, lowest, step in MHz; sm_clocks@1593 = ... beside that clock of the memory
//   field269_ns = 2500000000      74, 269, 270, 271: time spent slowed, and field269_share of the time from then on
//   value_type = 1                in which fields of power answer (NVML's numbers 0 to 6)
//   missing = energy field186     words that are answered with "not supported"
//   unknown = field186            fields that this driver has never heard of
//   forbidden = 1                 set and reset calls need root
//   forbidden_while = /tmp/file   the same while that file is there
//   lost_after_s = 3              then every reading says that the GPU is lost
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kSuccess = 0, kUninitialized = 1, kInvalidArgument = 2, kNotSupported = 3, kNoPermission = 4,
              kNotFound = 6, kInsufficientSize = 7, kGpuIsLost = 15;

struct Field {
  unsigned id, scope;
  long long stamp_us, latency_us;
  int type, code;
  union {
    double d;
    int i;
    unsigned u;
    unsigned long ul;
    unsigned long long ull;
    long long ll;
    unsigned short us;
  } value;
};

struct Step {
  double from_s, w;
};

using Section = std::map<std::string, std::string>;

struct Gpu {
  Section script;
  std::vector<Step> power;
  double limit_w = 0.0;

  double number(const char* key, double otherwise) const {
    const auto found = script.find(key);
    return found == script.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
  }
  std::string text(const char* key, const char* otherwise) const {
    const auto found = script.find(key);
    return found == script.end() ? otherwise : found->second;
  }
  bool lacks(const std::string& word, const char* list = "missing") const {
    std::istringstream words(text(list, ""));
    for (std::string one; words >> one;)
      if (one == word) return true;
    return false;
  }
};

std::mutex mutex;
int users = 0;
Section global;
std::vector<Gpu> gpus;
unsigned nvlink_mode = 0;
std::chrono::steady_clock::time_point began;
double passed_s = 0.0;  // on the script's clock

bool is_scripted() {
  const auto found = global.find("clock");
  return found != global.end() && found->second == "script";
}

double now_s() {
  return is_scripted() ? passed_s : std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(" \t"), to = text.find_last_not_of(" \t\r");
  return from == std::string::npos ? "" : text.substr(from, to - from + 1);
}

std::vector<Step> steps_of(const std::string& text) {
  std::vector<Step> steps;
  std::istringstream words(text);
  for (std::string one; words >> one;) {
    const auto colon = one.find(':');
    if (colon == std::string::npos)
      steps.push_back({0.0, std::strtod(one.c_str(), nullptr)});
    else
      steps.push_back({std::strtod(one.c_str(), nullptr), std::strtod(one.c_str() + colon + 1, nullptr)});
  }
  return steps;
}

void read_script() {
  global.clear();
  gpus.clear();
  nvlink_mode = 0;
  const char* path = std::getenv("CHOKEPOINT_FAKE_NVML");
  std::ifstream file(path ? path : "");
  for (std::string line; std::getline(file, line);) {
    line = trimmed(line.substr(0, line.find('#')));
    if (line == "[gpu]") gpus.emplace_back();
    const auto equals = line.find('=');
    if (equals == std::string::npos) continue;
    (gpus.empty() ? global : gpus.back().script)[trimmed(line.substr(0, equals))] = trimmed(line.substr(equals + 1));
  }
  for (Gpu& gpu : gpus) {
    gpu.power = steps_of(gpu.text("power_w", "100"));
    gpu.limit_w = gpu.number("limit_w", 700.0);
  }
}

// Deviate of the standard normal distribution, the same for the same tick.
double deviate(std::int64_t tick, std::uint64_t stream) {
  const auto uniform = [](std::uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return (static_cast<double>((x ^ x >> 31) >> 11) + 0.5) / 9007199254740992.0;
  };
  const std::uint64_t seed = static_cast<std::uint64_t>(tick) * 4 + stream * 1000003ULL;
  return std::sqrt(-2.0 * std::log(uniform(seed))) * std::cos(6.283185307179586 * uniform(seed + 1));
}

double watt_at(const Gpu& gpu, double at_s) {
  double w = gpu.power.empty() ? 0.0 : gpu.power.front().w;
  for (const Step& step : gpu.power)
    if (step.from_s <= at_s) w = step.w;
  return w;
}

double joule_at(const Gpu& gpu, double at_s) {
  double joule = 0.0;
  for (std::size_t i = 0; i < gpu.power.size(); ++i) {
    const double to_s = i + 1 < gpu.power.size() ? std::min(at_s, gpu.power[i + 1].from_s) : at_s;
    joule += std::max(0.0, to_s - gpu.power[i].from_s) * gpu.power[i].w;
  }
  return joule;
}

double counter_j(const Gpu& gpu) {
  const double tick_s = gpu.number("tick_ms", 100.0) * 1e-3;
  const auto tick = static_cast<std::int64_t>(std::floor(now_s() / tick_s));
  const double at_s = static_cast<double>(tick) * tick_s - gpu.number("lag_ms", 0.0) * 1e-3;
  const double noise_j = gpu.number("noise", 0.0) * deviate(tick, 1) * watt_at(gpu, at_s) * tick_s;
  // Lag reaches back before the start: the first power went on before it.
  const double joule = at_s >= 0.0 ? joule_at(gpu, at_s) : at_s * watt_at(gpu, 0.0);
  return 1e4 + gpu.number("gain", 1.0) * gpu.number("counter_gain", 1.0) * (joule + noise_j);
}

double power_w(const Gpu& gpu) {
  const double refresh_s = gpu.number("refresh_ms", 25.0) * 1e-3;
  const auto tick = static_cast<std::int64_t>(std::floor(now_s() / refresh_s));
  const double at_s = static_cast<double>(tick) * refresh_s - gpu.number("power_lag_ms", 0.0) * 1e-3;
  return gpu.number("gain", 1.0) * watt_at(gpu, at_s) * (1.0 + gpu.number("noise", 0.0) * deviate(tick, 2));
}

void put(Field& field, int type, double value) {
  field.type = type;
  switch (type) {
    case 0: field.value.d = value; break;
    case 1: field.value.u = static_cast<unsigned>(value); break;
    case 2: field.value.ul = static_cast<unsigned long>(value); break;
    case 3: field.value.ull = static_cast<unsigned long long>(value); break;
    case 4: field.value.ll = static_cast<long long>(value); break;
    case 5: field.value.i = static_cast<int>(value); break;
    default: field.value.us = static_cast<unsigned short>(value); break;
  }
}

int answer(const Gpu& gpu, Field& field) {
  const std::string word = "field" + std::to_string(field.id);
  if (gpu.lacks(word) || gpu.lacks(word + ":" + std::to_string(field.scope))) return kNotSupported;
  if (gpu.lacks(word, "unknown")) return kInvalidArgument;
  field.stamp_us = static_cast<long long>(now_s() * 1e6);
  const int type = static_cast<int>(gpu.number("value_type", 1));
  switch (field.id) {
    case 83:
    case 191: put(field, 3, counter_j(gpu) * 1e3); return kSuccess;
    case 185:
    case 186:
      if (field.scope == 0) return put(field, type, power_w(gpu) * 1e3), kSuccess;
      if (field.scope != 2 || !gpu.script.contains("memory_power_w")) return kNotSupported;
      return put(field, type, gpu.number("memory_power_w", 0.0) * 1e3), kSuccess;
    case 74:
    case 269:
    case 270:
    case 271:
      put(field, 3, gpu.number((word + "_ns").c_str(), 0.0) + gpu.number((word + "_share").c_str(), 0.0) * now_s() * 1e9);
      return kSuccess;
    default: return kInvalidArgument;
  }
}

// The GPU of a handle, or null with the code to answer.
Gpu* gpu_of(void* handle, const char* word, int& code) {
  code = kUninitialized;
  if (users == 0) return nullptr;
  const auto index = reinterpret_cast<std::uintptr_t>(handle) - 1;
  code = kInvalidArgument;
  if (index >= gpus.size()) return nullptr;
  code = kGpuIsLost;
  if (now_s() >= gpus[index].number("lost_after_s", 1e300)) return nullptr;
  code = kNotSupported;
  if (gpus[index].lacks(word)) return nullptr;
  code = kSuccess;
  return &gpus[index];
}

int number_of(void* handle, const char* word, double otherwise, unsigned* out, double scale = 1.0) {
  const std::lock_guard lock(mutex);
  int code;
  if (const Gpu* gpu = gpu_of(handle, word, code))
    *out = static_cast<unsigned>(std::lround(gpu->number(word, otherwise) * scale));
  return code;
}

int text_of(void* handle, const char* word, const char* otherwise, char* out, unsigned size) {
  const std::lock_guard lock(mutex);
  int code;
  if (const Gpu* gpu = gpu_of(handle, word, code)) std::snprintf(out, size, "%s", gpu->text(word, otherwise).c_str());
  return code;
}

int change(void* handle, const std::string& call) {
  int code;
  const Gpu* gpu = gpu_of(handle, call.substr(0, call.find(' ')).c_str(), code);
  if (!gpu) return code;
  if (gpu->number("forbidden", 0.0) != 0.0 || std::ifstream(gpu->text("forbidden_while", ""))) return kNoPermission;
  if (global.contains("log")) std::ofstream(global["log"], std::ios::app) << gpu->text("uuid", "") << ' ' << call << '\n';
  return kSuccess;
}

std::vector<unsigned> numbers_in(const std::string& text) {
  std::istringstream words(text);
  std::vector<unsigned> numbers;
  for (unsigned one; words >> one;) numbers.push_back(one);
  return numbers;
}

int give_list(const std::vector<unsigned>& list, unsigned* count, unsigned* out) {
  const unsigned room = *count;
  *count = static_cast<unsigned>(list.size());
  if (room < list.size()) return kInsufficientSize;
  std::copy(list.begin(), list.end(), out);
  return kSuccess;
}

void* handle_of(std::size_t index) { return reinterpret_cast<void*>(index + 1); }

// "0000:3b:00.0", "00000000:3B:00.0" and "3b:00.0" name the same place.
std::string plain_bus(std::string bus) {
  for (char& c : bus) c = static_cast<char>(std::tolower(c));
  if (std::count(bus.begin(), bus.end(), ':') == 2) {
    const auto colon = bus.find(':');
    return std::to_string(std::strtoul(bus.c_str(), nullptr, 16)) + bus.substr(colon);
  }
  return "0:" + bus;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  const std::lock_guard lock(mutex);
  if (users == 0) {
    read_script();
    began = std::chrono::steady_clock::now();
    passed_s = 0.0;
  }
  if (global.contains("init_code")) return std::atoi(global["init_code"].c_str());
  ++users;
  return kSuccess;
}

int nvmlShutdown() {
  const std::lock_guard lock(mutex);
  if (users == 0) return kUninitialized;
  --users;
  return kSuccess;
}

// Not of NVML: the first GPU draws this from now on.
void fake_nvml_draw(double w) {
  const std::lock_guard lock(mutex);
  gpus.at(0).power.push_back({now_s(), w});
}

// Not of NVML either: the script's clock.
double fake_nvml_now() {
  const std::lock_guard lock(mutex);
  return now_s();
}
void fake_nvml_pass(double seconds) {
  const std::lock_guard lock(mutex);
  passed_s += seconds;
}

const char* nvmlErrorString(int code) {
  switch (code) {
    case kNotSupported: return "Not Supported";
    case kNoPermission: return "Insufficient Permissions";
    case kNotFound: return "Not Found";
    case 9: return "Driver Not Loaded";
    case kGpuIsLost: return "GPU is lost";
    default: return "Unknown Error";
  }
}

int nvmlSystemGetDriverVersion(char* out, unsigned size) {
  const std::lock_guard lock(mutex);
  std::snprintf(out, size, "%s", global.contains("driver") ? global["driver"].c_str() : "580.65.06");
  return kSuccess;
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  const std::lock_guard lock(mutex);
  *count = static_cast<unsigned>(gpus.size());
  return users ? kSuccess : kUninitialized;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** handle) {
  const std::lock_guard lock(mutex);
  if (index >= gpus.size()) return kInvalidArgument;
  *handle = handle_of(index);
  return kSuccess;
}

int nvmlDeviceGetHandleByUUID(const char* uuid, void** handle) {
  const std::lock_guard lock(mutex);
  for (std::size_t i = 0; i < gpus.size(); ++i)
    if (gpus[i].text("uuid", "GPU-0") == uuid) return *handle = handle_of(i), kSuccess;
  return kNotFound;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char* bus, void** handle) {
  const std::lock_guard lock(mutex);
  for (std::size_t i = 0; i < gpus.size(); ++i)
    if (plain_bus(gpus[i].text("bus", "00000000:01:00.0")) == plain_bus(bus)) return *handle = handle_of(i), kSuccess;
  return kNotFound;
}

int nvmlDeviceGetUUID(void* gpu, char* out, unsigned size) { return text_of(gpu, "uuid", "GPU-0", out, size); }
int nvmlDeviceGetName(void* gpu, char* out, unsigned size) { return text_of(gpu, "name", "Fake H100", out, size); }
int nvmlDeviceGetVbiosVersion(void* gpu, char* out, unsigned size) {
  return text_of(gpu, "vbios", "96.00.74.00.1C", out, size);
}

int nvmlDeviceGetPciInfo_v3(void* gpu, void* info) {  // bus id: 32 characters after 16 characters and 5 words
  std::memset(info, 0, 68);
  return text_of(gpu, "bus", "00000000:01:00.0", static_cast<char*>(info) + 36, 32);
}

int nvmlDeviceGetTotalEnergyConsumption(void* handle, unsigned long long* millijoule) {
  const std::lock_guard lock(mutex);
  int code;
  if (const Gpu* gpu = gpu_of(handle, "energy", code))
    *millijoule = static_cast<unsigned long long>(counter_j(*gpu) * 1e3);
  if (global.contains("read_us")) passed_s += std::strtod(global["read_us"].c_str(), nullptr) * 1e-6;
  return code;
}

int nvmlDeviceGetFieldValues(void* handle, int count, Field* fields) {
  const std::lock_guard lock(mutex);
  int code;
  if (const Gpu* gpu = gpu_of(handle, "fields", code))
    for (int i = 0; i < count; ++i) fields[i].code = answer(*gpu, fields[i]);
  return code;
}

int nvmlDeviceGetClockInfo(void* gpu, int type, unsigned* mhz) {
  return number_of(gpu, type == 2 ? "memory_mhz" : "sm_mhz", type == 2 ? 2619 : 1980, mhz);
}
int nvmlDeviceGetMaxClockInfo(void* gpu, int type, unsigned* mhz) {
  return number_of(gpu, type == 2 ? "max_memory_mhz" : "max_sm_mhz", type == 2 ? 2619 : 1980, mhz);
}
int nvmlDeviceGetSupportedMemoryClocks(void* handle, unsigned* count, unsigned* mhz) {
  const std::lock_guard lock(mutex);
  int code;
  const Gpu* gpu = gpu_of(handle, "memory_clocks", code);
  return gpu ? give_list(numbers_in(gpu->text("memory_clocks", "2619 1593")), count, mhz) : code;
}
int nvmlDeviceGetSupportedGraphicsClocks(void* handle, unsigned memory_mhz, unsigned* count, unsigned* mhz) {
  const std::lock_guard lock(mutex);
  int code;
  const Gpu* gpu = gpu_of(handle, "sm_clocks", code);
  if (!gpu) return code;
  const std::vector<unsigned> memory = numbers_in(gpu->text("memory_clocks", "2619 1593"));
  if (std::find(memory.begin(), memory.end(), memory_mhz) == memory.end()) return kNotFound;
  const std::string always = gpu->text("sm_clocks", "1980 345 15"), key = "sm_clocks@" + std::to_string(memory_mhz);
  const std::vector<unsigned> range = numbers_in(gpu->text(key.c_str(), always.c_str()));
  std::vector<unsigned> list;
  for (unsigned clock = range.at(0); clock >= range.at(1); clock -= range.at(2)) list.push_back(clock);
  return give_list(list, count, mhz);
}
int nvmlDeviceGetTemperature(void* gpu, int, unsigned* celsius) {
  return number_of(gpu, "temperature_c", 45, celsius);
}
int nvmlDeviceGetCurrentClocksEventReasons(void* gpu, unsigned long long* mask) {
  unsigned word = 0;
  const int code = number_of(gpu, "throttle", 0, &word);
  *mask = word;
  return code;
}

int nvmlDeviceGetPowerManagementLimit(void* handle, unsigned* milliwatt) {
  const std::lock_guard lock(mutex);
  int code;
  if (const Gpu* gpu = gpu_of(handle, "limit_w", code))
    *milliwatt = static_cast<unsigned>(std::lround(gpu->limit_w * 1e3));
  return code;
}
int nvmlDeviceGetPowerManagementDefaultLimit(void* gpu, unsigned* milliwatt) {
  return number_of(gpu, "default_limit_w", 700, milliwatt, 1e3);
}
int nvmlDeviceGetPowerManagementLimitConstraints(void* gpu, unsigned* least, unsigned* most) {
  const int code = number_of(gpu, "least_limit_w", 200, least, 1e3);
  return code != kSuccess ? code : number_of(gpu, "most_limit_w", 700, most, 1e3);
}

int nvmlDeviceGetMigMode(void* gpu, unsigned* now, unsigned* pending) {
  const int code = number_of(gpu, "mig", 0, now);
  *pending = *now;
  return code;
}
int nvmlDeviceGetPersistenceMode(void* gpu, unsigned* mode) { return number_of(gpu, "persistence", 1, mode); }
int nvmlDeviceGetEccMode(void* gpu, unsigned* now, unsigned* pending) {
  const int code = number_of(gpu, "ecc", 1, now);
  *pending = *now;
  return code;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void* gpu, unsigned* count, void*) {
  const unsigned room = *count;
  const int code = number_of(gpu, "processes", 1, count);
  return code == kSuccess && *count > room ? kInsufficientSize : code;
}

int nvmlDeviceSetGpuLockedClocks(void* gpu, unsigned least, unsigned most) {
  const std::lock_guard lock(mutex);
  return change(gpu, "lock_sm " + std::to_string(least) + " " + std::to_string(most));
}
int nvmlDeviceResetGpuLockedClocks(void* gpu) {
  const std::lock_guard lock(mutex);
  return change(gpu, "reset_sm");
}
int nvmlDeviceSetMemoryLockedClocks(void* gpu, unsigned least, unsigned most) {
  const std::lock_guard lock(mutex);
  return change(gpu, "lock_memory " + std::to_string(least) + " " + std::to_string(most));
}
int nvmlDeviceResetMemoryLockedClocks(void* gpu) {
  const std::lock_guard lock(mutex);
  return change(gpu, "reset_memory");
}

int nvmlDeviceSetPowerManagementLimit(void* handle, unsigned milliwatt) {
  const std::lock_guard lock(mutex);
  const int code = change(handle, "limit_power " + std::to_string(milliwatt));
  int ignored;
  if (code == kSuccess) gpu_of(handle, "", ignored)->limit_w = milliwatt * 1e-3;
  return code;
}

int nvmlSystemGetNvlinkBwMode(unsigned* mode) {
  const std::lock_guard lock(mutex);
  *mode = nvlink_mode;
  return kSuccess;
}

int nvmlSystemSetNvlinkBwMode(unsigned mode) {
  const std::lock_guard lock(mutex);
  const int code = change(handle_of(0), "nvlink_mode " + std::to_string(mode));
  if (code == kSuccess) nvlink_mode = mode;
  return code;
}
}
