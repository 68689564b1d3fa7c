#include "gpu/distill/fidelity.h"

#include <cmath>

namespace signum {
namespace {

// Inputs and targets of rows.
struct Shifted {
  TokenRows inputs;
  std::vector<int32_t> targets;
};

Shifted Shift(const TokenRows& rows) {
  Shifted out;
  out.inputs.tokens = rows.tokens - 1;
  for (int64_t r = 0; r < rows.count(); ++r) {
    const auto row = rows.Row(r);
    out.inputs.ids.insert(out.inputs.ids.end(), row.begin(), row.end() - 1);
    out.targets.insert(out.targets.end(), row.begin() + 1, row.end());
  }
  return out;
}

// What the rows' logits are compared from: one model's hidden states and head.
struct Side {
  ops::Buffer<float> hidden;
  const float* head;
};

class Comparison {
 public:
  Comparison(const Compute& compute, const FidelityModels& models, const Shifted& shifted)
      : compute_(compute),
        models_(models),
        shifted_(shifted),
        all_{0, shifted.inputs.count(), shifted.inputs.tokens},
        pieces_(compute, all_) {}

  Result<Fidelity> Run(const ModelProgress& progress) {
    SIGNUM_ASSIGN(const Side fine, States(models_.fine_config, models_.fine, progress, 0));
    SIGNUM_ASSIGN(const Side delta, States(models_.fine_config, models_.delta, progress, 1));
    SIGNUM_TRY(Compare(fine, delta));
    SIGNUM_TRY(Base(progress));
    return out_;
  }

 private:
  Result<Side> States(const LlamaConfig& config, ModelWeights& weights,
                      const ModelProgress& progress, int turn) {
    const auto share = [&](double done) { return progress((turn + done) / 3); };
    SIGNUM_ASSIGN(auto hidden, HiddenStates(compute_, config, weights, shifted_.inputs, share));
    SIGNUM_ASSIGN(const float* head, weights.Head());
    return Side{std::move(hidden), head};
  }

  // Calls with each piece's sequences, a thread at a time its own logits.
  Result<void> ForPieces(const std::function<Result<void>(const Sequences&)>& work) const {
    return ParallelFor(compute_, pieces_.count(),
                       [&](size_t, int64_t p) { return work(pieces_[p]); });
  }

  Result<ops::Buffer<float>> LogitsOf(const Side& side, const Sequences& s, int64_t vocabulary,
                                      int64_t hidden) const {
    SIGNUM_ASSIGN(auto logits, MakeBuffer<float>(compute_.backend, s.rows() * vocabulary));
    Logits(compute_.backend, side.hidden.data() + s.first_row() * hidden, side.head, s.rows(),
           vocabulary, hidden, logits.data());
    return logits;
  }

  Result<ops::Buffer<int32_t>> Targets() const {
    SIGNUM_ASSIGN(auto targets, MakeBuffer<int32_t>(compute_.backend, all_.rows()));
    compute_.backend.Upload(shifted_.targets.data(), targets.data(),
                            shifted_.targets.size() * sizeof(int32_t));
    return targets;
  }

  Result<void> Compare(const Side& fine, const Side& delta) {
    const int64_t vocabulary = models_.fine.vocabulary();
    const int64_t hidden = models_.fine_config.hidden;
    SIGNUM_ASSIGN(const auto rows, MakeBuffer<ops::RowFidelity>(compute_.backend, all_.rows()));
    SIGNUM_ASSIGN(const auto targets, Targets());
    SIGNUM_TRY(ForPieces([&](const Sequences& s) -> Result<void> {
      SIGNUM_ASSIGN(const auto teacher, LogitsOf(fine, s, vocabulary, hidden));
      SIGNUM_ASSIGN(const auto student, LogitsOf(delta, s, vocabulary, hidden));
      compute_.backend.CompareLogits({student.data(), teacher.data(),
                                      targets.data() + s.first_row(), rows.data() + s.first_row(),
                                      s.rows(), vocabulary});
      return {};
    }));
    std::vector<ops::RowFidelity> found(static_cast<size_t>(all_.rows()));
    compute_.backend.Download(rows.data(), found.data(), found.size() * sizeof found[0]);
    SIGNUM_TRY(CheckBackend(compute_.backend));
    Summarize(found, vocabulary);
    return {};
  }

  void Summarize(const std::vector<ops::RowFidelity>& rows, int64_t vocabulary) {
    double nll = 0;
    double teacher_nll = 0;
    for (const ops::RowFidelity& row : rows) {
      out_.logit_mse += row.squared;
      out_.kl += row.kl;
      out_.top1 += row.same_top ? 1 : 0;
      nll += row.nll;
      teacher_nll += row.teacher_nll;
    }
    const auto n = static_cast<double>(rows.size());
    out_.logit_mse /= n * static_cast<double>(vocabulary);
    out_.kl /= n;
    out_.top1 /= n;
    out_.perplexity_delta = std::exp(nll / n);
    out_.perplexity_fine = std::exp(teacher_nll / n);
    out_.targets = static_cast<int64_t>(rows.size());
  }

  // The base's perplexity, where it knows every token.
  Result<void> Base(const ModelProgress& progress) {
    const int64_t vocabulary = models_.base.vocabulary();
    if (CheckTokens(shifted_.inputs, vocabulary).has_error()) return {};
    SIGNUM_ASSIGN(const Side base, States(models_.base_config, models_.base, progress, 2));
    SIGNUM_ASSIGN(const auto rows, MakeBuffer<double>(compute_.backend, all_.rows()));
    SIGNUM_ASSIGN(const auto targets, Targets());
    SIGNUM_TRY(ForPieces([&](const Sequences& s) -> Result<void> {
      SIGNUM_ASSIGN(const auto logits, LogitsOf(base, s, vocabulary, models_.base_config.hidden));
      compute_.backend.NegativeLogLikelihood({logits.data(), targets.data() + s.first_row(),
                                              rows.data() + s.first_row(), s.rows(), vocabulary});
      return {};
    }));
    std::vector<double> found(static_cast<size_t>(all_.rows()));
    compute_.backend.Download(rows.data(), found.data(), found.size() * sizeof found[0]);
    SIGNUM_TRY(CheckBackend(compute_.backend));
    double sum = 0;
    for (const double nll : found) sum += nll;
    const double perplexity = std::exp(sum / static_cast<double>(found.size()));
    if (std::isfinite(perplexity)) out_.perplexity_base = perplexity;
    return {};
  }

  const Compute& compute_;
  const FidelityModels& models_;
  const Shifted& shifted_;
  const Sequences all_;
  const Pieces pieces_;
  Fidelity out_;
};

}  // namespace

Result<void> CheckTokens(const TokenRows& rows, int64_t vocabulary) {
  if (rows.ids.empty()) return Fail(Errc::kUnusable, "no_tokens", "there are no tokens");
  for (size_t i = 0; i < rows.ids.size(); ++i) {
    if (rows.ids[i] >= 0 && rows.ids[i] < vocabulary) continue;
    const auto width = static_cast<size_t>(rows.tokens);
    return Fail(Errc::kUnusable, "token_out_of_range",
                "row " + std::to_string(i / width + 1) + ", token " +
                    std::to_string(i % width + 1) + ": id " + std::to_string(rows.ids[i]) +
                    " is outside the vocabulary of " + std::to_string(vocabulary));
  }
  return {};
}

Result<Fidelity> MeasureFidelity(const Compute& compute, const FidelityModels& models,
                                 const TokenRows& rows, const ModelProgress& progress) {
  if (rows.tokens < 2) {
    return Fail(Errc::kUnusable, "no_tokens", "rows to evaluate on need two tokens or more");
  }
  SIGNUM_TRY(CheckTokens(rows, models.fine.vocabulary()));
  const Shifted shifted = Shift(rows);
  return Comparison(compute, models, shifted).Run(progress);
}

}  // namespace signum
