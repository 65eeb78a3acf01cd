// In which order is a case measured? Written once, over a driver: the real one holds launches and caps, the
// one in tests writes down the steps and can fail at any of them.
#pragma once

namespace chokepoint {

// A driver has, in this order of use:
//   prepare()         inputs, launches, clocks (disengaged)
//   verify()          every launch's output against the reference, uncapped; throws when wrong: no
//   measurement warm_up()         the load itself, uncapped, by time probe_before()    each cap alone, at the
//   requested rate and at two others engage()          caps on; from here release() runs on every way out
//   sample()          until the stopping rule ends
//   measure_energy()  a longer, steady load, where that was asked for: power meters are slow
//   release() noexcept
//   verify_output()   what the timed launches wrote
//   probe_after()
//   conclude()        verdicts
// Caps are released before outputs are compared, so that a slow comparison is not paced.
template <class Driver>
void measure(Driver& driver) {
  driver.prepare();
  driver.verify();
  driver.warm_up();
  driver.probe_before();
  {
    struct Release {
      Driver& driver;
      ~Release() { driver.release(); }
    } const release{driver};
    driver.engage();
    driver.sample();
    driver.measure_energy();
  }
  driver.verify_output();
  driver.probe_after();
  driver.conclude();
}

}  // namespace chokepoint
