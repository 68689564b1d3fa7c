#include "gpu/choices.h"

#include "gpu/codec_parts.h"
#include "gpu/lowrank.h"
#include "gpu/rebuilt_matrix.h"

namespace signum {
namespace {

using Kind = PreparedTensor::Kind;

// An entry without its name: {"dtype":"BF16","shape":[…],"data_offsets":[…,…]}, with quotes and
// comma, and numbers as long as they get.
constexpr uint64_t kEntryBytes = 54 + 4 * 13;
// "codec.X":"same",
constexpr uint64_t kStatedBytes = 20;

// A name as JSON, at most.
uint64_t NameBytes(const std::string& name) {
  uint64_t bytes = 0;
  for (char c : name) bytes += c < 0x20 || c == '"' || c == '\\' ? 6 : 1;
  return bytes;
}

uint64_t FileBytesOf(const std::vector<TensorInfo>& parts) {
  uint64_t bytes = 0;
  for (const TensorInfo& part : parts) bytes += FileBytes(part);
  return bytes;
}

class Measurer {
 public:
  Measurer(const EncodeContext& context, const PreparedTensor& tensor)
      : context_(context), tensor_(tensor), info_(tensor.input.info) {}

  Result<std::vector<Choice>> Run() {
    switch (tensor_.kind) {
      case Kind::kSame:
        choices_ = {Same(0)};
        break;
      case Kind::kRaw:
        choices_ = {Raw()};
        break;
      case Kind::kLinear:
        SIGNUM_TRY(Linear());
        break;
      case Kind::kFactors:
        choices_ = {Given()};
        break;
      case Kind::kRows:
        SIGNUM_TRY(Rows());
        break;
    }
    return std::move(choices_);
  }

 private:
  Choice Same(double error) const {
    Choice choice;
    choice.cost = {NameBytes(info_.name) + kStatedBytes, error};
    return choice;
  }
  Choice Raw() const {
    Choice choice;
    choice.codec = Codec::kRaw;
    choice.cost = {FileBytes(info_) + NameBytes(info_.name) + kStatedBytes, 0};
    return choice;
  }

  // An adapter's factors: nothing is left.
  Choice Given() const {
    Choice choice;
    choice.codec = Codec::kLowrank;
    choice.cost.bytes = FileBytesOf(LowrankParts(info_, tensor_.factors->rank, Dtype::kF32, true));
    return choice;
  }

  // The base's tensor as it is.
  Result<void> AddSame() {
    if (!tensor_.same_type) return {};
    SIGNUM_ASSIGN(const double error, SumOfSquares(context_, *tensor_.pairs));
    choices_.push_back(Same(error));
    return {};
  }

  Result<void> Linear() {
    SIGNUM_TRY(AddSame());
    choices_.push_back(Raw());
    const bool sparse = IsSparse(tensor_.survey, info_.elements());
    const uint64_t changed = info_.elements() - tensor_.survey.zeros;
    SIGNUM_ASSIGN(const auto errors,
                  SignErrors(context_, tensor_.input, *tensor_.pairs, tensor_.survey, sparse));
    for (int planes = 1; planes <= kMaxPlanes; ++planes) {
      Choice choice;
      choice.codec = sparse ? Codec::kSign1Sparse : Codec::kSign1;
      choice.planes = planes;
      CompressOptions options = context_.options;
      options.planes = planes;
      choice.cost = {
          FileBytesOf(sparse ? SparseParts(info_, changed, options) : Sign1Parts(info_, options)),
          errors[static_cast<size_t>(planes) - 1]};
      choices_.push_back(choice);
    }
    return Lowrank();
  }

  Result<void> Lowrank() {
    Choice choice;
    choice.codec = Codec::kLowrank;
    choice.highest_rank = HighestRank(info_, info_.bytes());
    SIGNUM_ASSIGN(const auto guess, GuessRank(*tensor_.pairs, choice.highest_rank));
    if (!guess) return {};
    choice.guessed_rank = *guess;
    SIGNUM_ASSIGN(const auto factors, FindFactors(context_, info_, *tensor_.pairs,
                                                  {*guess, choice.highest_rank, false}));
    if (!factors) return {};
    choice.cost = {FileBytesOf(LowrankParts(info_, factors->rank, factors->dtype, true)),
                   factors->error};
    choices_.push_back(choice);
    return {};
  }

  Result<void> Rows() {
    const uint64_t changed = tensor_.survey.changed_rows.size();
    const uint64_t grown = info_.shape[0] - tensor_.pairs->rows();
    const auto add = [&](int planes, bool exact, double error) {
      Choice choice;
      choice.codec = Codec::kRows;
      choice.planes = planes;
      choice.exact_rows = exact;
      CompressOptions options = context_.options;
      options.planes = planes;
      options.exact_embeddings = exact;
      choice.cost = {FileBytesOf(RowsParts(info_, changed, grown, options)), error};
      choices_.push_back(choice);
    };
    add(1, true, 0);
    if (context_.options.exact_embeddings || changed == 0) return {};
    SIGNUM_TRY(AddSame());
    SIGNUM_ASSIGN(const auto errors, RowErrors(context_, *tensor_.pairs, tensor_.survey));
    for (int planes = 1; planes <= kMaxPlanes; ++planes) {
      add(planes, false, errors[static_cast<size_t>(planes) - 1]);
    }
    return {};
  }

  const EncodeContext& context_;
  const PreparedTensor& tensor_;
  const TensorInfo& info_;
  std::vector<Choice> choices_;
};

}  // namespace

uint64_t FileBytes(const TensorInfo& part) {
  return part.bytes() + NameBytes(part.name) + kEntryBytes;
}

std::string Choice::Name() const {
  std::string name(CodecName(codec));
  if (exact_rows) return name + " exact";
  const bool signs =
      codec == Codec::kSign1 || codec == Codec::kSign1Sparse || codec == Codec::kRows;
  return signs && planes > 1 ? name + " x" + std::to_string(planes) : name;
}

Result<std::vector<Choice>> MeasureChoices(const EncodeContext& context,
                                           const PreparedTensor& tensor) {
  return Measurer(context, tensor).Run();
}

Result<Encoded> EncodeChoice(const EncodeContext& context, const PreparedTensor& tensor,
                             const Choice& choice) {
  CompressOptions options = context.options;
  options.exact_embeddings = choice.exact_rows;
  const EncodeContext chosen{context.writer, options, context.progress, choice.planes,
                             context.trial};
  switch (choice.codec) {
    case Codec::kSame:
      return Encoded{Codec::kSame, 0};
    case Codec::kRaw:
      return EncodeRaw(chosen, tensor.input);
    case Codec::kRows:
      return EncodeRows(chosen, tensor.input, *tensor.pairs, tensor.survey);
    case Codec::kLowrank: {
      if (tensor.factors != nullptr) {
        return EncodeFactors(chosen, tensor.input.info, *tensor.factors);
      }
      SIGNUM_ASSIGN(const auto factors,
                    FindFactors(chosen, tensor.input.info, *tensor.pairs,
                                {choice.guessed_rank, choice.highest_rank, false}));
      if (factors) return EncodeLowrank(chosen, tensor.input.info, *factors);
      return Fail(Errc::kInternal, "lowrank_lost", "a low rank was measured and not found again");
    }
    case Codec::kSign1:
    case Codec::kSign1Sparse:
      break;
  }
  return EncodeLinear(chosen, tensor.input, *tensor.pairs, tensor.survey,
                      choice.codec == Codec::kSign1Sparse);
}

}  // namespace signum
