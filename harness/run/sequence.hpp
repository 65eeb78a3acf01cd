// In which order is a case measured? Written once, over a driver: the real one holds launches and caps, the
// one in tests writes down the steps and can fail at any of them.
#pragma once

namespace chokepoint {

// A driver has, in this order of use:
//   prepare()         inputs, launches, clocks (disengaged)
//   verify()          every launch's output against the reference, uncapped; throws when wrong: no measurement
//   probe_before()    each cap alone, at the requested rate and at two others
//   warm_up()         the load itself, uncapped, by time
//   engage()          caps on; from here release() runs on every way out
//   sample()          until the stopping rule ends
//   measure_energy()  a longer, steady load, where that was asked for: power meters are slow
//   release() noexcept
//   verify_output()   what the timed launches wrote
//   probe_after()
//   conclude()        verdicts
// and begins(step), told the name of each step that is about to run.
// The load warms up right before it is sampled: a probe of compute leaves a GPU's clocks low for a while.
// Caps are released before outputs are compared, so that a slow comparison is not paced.
template <class Driver>
void measure(Driver& driver) {
  const auto step = [&](const char* name, void (Driver::*run)()) {
    driver.begins(name);
    (driver.*run)();
  };
  step("prepare", &Driver::prepare);
  step("verify", &Driver::verify);
  step("probe_before", &Driver::probe_before);
  step("warm_up", &Driver::warm_up);
  {
    struct Release {
      Driver& driver;
      ~Release() { driver.release(); }
    } const release{driver};
    step("engage", &Driver::engage);
    step("sample", &Driver::sample);
    step("measure_energy", &Driver::measure_energy);
  }
  step("verify_output", &Driver::verify_output);
  step("probe_after", &Driver::probe_after);
  step("conclude", &Driver::conclude);
}

}  // namespace chokepoint
