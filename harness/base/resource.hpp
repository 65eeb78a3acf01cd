// What can be short on a machine? The four resources of the vocabulary, and the units they are counted in.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace chokepoint {

// link = scale-up (NVLink), network = scale-out (NIC). Both are rates per direction.
enum class Resource { compute, memory, link, network };

inline constexpr std::array kResources = {Resource::compute, Resource::memory, Resource::link, Resource::network};

constexpr std::string_view to_string(Resource resource) {
  constexpr std::array<std::string_view, 4> names = {"compute", "memory", "link", "network"};
  return names[static_cast<int>(resource)];
}

// Unit of an amount of this resource; its rate is this unit per second.
constexpr std::string_view unit_of(Resource resource) {
  return resource == Resource::compute ? "FLOP" : "B";
}

constexpr std::optional<Resource> resource_from(std::string_view name) {
  for (Resource resource : kResources)
    if (to_string(resource) == name) return resource;
  return std::nullopt;
}

// One value per resource: `PerResource<double> rate; rate[Resource::link] = 160e9;`
template <class T>
struct PerResource {
  std::array<T, 4> values{};
  T& operator[](Resource resource) { return values[static_cast<int>(resource)]; }
  const T& operator[](Resource resource) const { return values[static_cast<int>(resource)]; }
};

}  // namespace chokepoint
