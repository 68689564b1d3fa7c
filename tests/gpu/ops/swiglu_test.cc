#include "gpu/ops/swiglu.h"

#include <cmath>

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

Doubles Naive(const Doubles& gate, const Doubles& up) {
  Doubles y(gate.size());
  for (size_t i = 0; i < y.size(); ++i) y[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  return y;
}

void ForwardAndBackward(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const int64_t n : {1, 31, 100, 255, 1025}) {
    const Floats gate = RandomFloats(random, n, 4);
    const Floats up = RandomFloats(random, n);
    const Floats dy = RandomFloats(random, n);
    const Doubles wgate = ToDoubles(gate);
    const Doubles wup = ToDoubles(up);
    const Doubles wdy = ToDoubles(dy);
    const OnDevice<float> on_gate(backend, gate);
    const OnDevice<float> on_up(backend, up);
    const OnDevice<float> on_dy(backend, dy);
    const OnDevice<float> y(backend, gate.size());
    const OnDevice<float> dgate(backend, gate.size());
    backend.Swiglu({on_gate.data(), on_up.data(), y.data(), n});
    report.Near(y.Get(), Naive(wgate, wup), 1e-6, "y, n " + std::to_string(n));
    // dup over dy, as the contract allows.
    backend.SwigluBackward(
        {on_dy.data(), on_gate.data(), on_up.data(), dgate.data(), on_dy.data(), n});
    const auto by_gate = [&](const Doubles& at) { return Inner(Naive(at, wup), wdy); };
    const auto by_up = [&](const Doubles& at) { return Inner(Naive(wgate, at), wdy); };
    report.Near(dgate.Get(), Numeric(by_gate, wgate), 1e-5, "dgate, n " + std::to_string(n));
    report.Near(on_dy.Get(), Numeric(by_up, wup), 1e-5, "dup, n " + std::to_string(n));
  }
}

// Gates far out: silu is 0 or the gate itself, nothing overflows.
void FarGates(Backend& backend, Report& report) {
  const Floats gate = {-1000, -100, -88, 0, 88, 100, 1000};
  const OnDevice<float> on_gate(backend, gate);
  const OnDevice<float> up(backend, Floats(gate.size(), 2.0F));
  const OnDevice<float> y(backend, gate.size());
  backend.Swiglu({on_gate.data(), up.data(), y.data(), static_cast<int64_t>(gate.size())});
  const Floats got = y.Get();
  for (size_t i = 0; i < gate.size(); ++i) {
    const double expected = gate[i] > 0 ? 2.0 * double{gate[i]} : 0.0;
    report.Close(double{got[i]}, expected, 1e-6, "gate " + std::to_string(gate[i]));
  }
}

}  // namespace

std::vector<Case> SwigluCases() {
  return {Case{"SwigluForwardAndBackward", ForwardAndBackward}, Case{"SwigluFarGates", FarGates}};
}

}  // namespace signum::ops
