#include "server/phase_reporter.h"

#include <algorithm>
#include <utility>

namespace signum {
namespace {

constexpr std::chrono::milliseconds kReportEvery{100};

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void PhaseReporter::Begin(std::string_view phase, double from, double to, uint64_t total) {
  phase_ = phase;
  from_ = from;
  to_ = to;
  total_ = total;
  loss_.reset();
  phase_began_ = std::chrono::steady_clock::now();
  if (!job_began_) {
    job_began_ = phase_began_;
    job_began_at_ = from;
  }
  Report(0, phase_began_);
}

bool PhaseReporter::Step(uint64_t done) {
  const bool due = std::chrono::steady_clock::now() - reported_ >= kReportEvery;
  if (due || why_ || stopping_) return StepNow(done);
  return true;
}

bool PhaseReporter::StepNow(uint64_t done) {
  if (why_) return false;
  if (stopping_) {
    why_ = Fail(Errc::kUnavailable, "stopping", "the worker is being stopped");
    return false;
  }
  Report(done, std::chrono::steady_clock::now());
  return !why_;
}

void PhaseReporter::Report(uint64_t done, SteadyTime now) {
  reported_ = now;
  const double part = total_ == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total_);
  const double progress = from_ + (to_ - from_) * std::clamp(part, 0.0, 1.0);
  const double in_phase = Seconds(now - phase_began_);
  const double rate = in_phase > 0 ? static_cast<double>(done) / in_phase : 0;
  const double gained = progress - job_began_at_;
  const double eta =
      gained > 0.01 ? Seconds(now - *job_began_) * (1 - progress) / gained : -1;  // -1: unknown
  const auto job = catalog_.ReportProgress(job_, phase_, progress, rate, eta, loss_);
  if (job.has_error()) {
    // A full disk may not even take the progress: the phase's own writes decide.
    if (job.error().code != Errc::kExhausted) why_ = job.error();
  } else if (job->cancel_requested) {
    why_ = Fail(Errc::kCancelled, "cancelled", "the job was cancelled");
  }
}

}  // namespace signum
