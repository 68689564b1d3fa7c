#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "server/http/message.h"
#include "storage/uploads.h"

namespace signum {

constexpr std::string_view kTusVersion = "1.0.0";

// tus names its version in every answer, refusals too.
http::Response AsTus(http::Response response);

// Takes the body of one PATCH or PUT into a file of an upload. Makes what arrived durable every 64
// MiB, every two seconds while bytes come, at the end, and when the client vanishes: what was
// acknowledged by an offset stays.
class UploadSink final : public http::BodySink {
 public:
  // What the request is answered with once the file stands at the offset given.
  using Answer = std::function<http::Response(const UploadFile& file)>;

  UploadSink(std::unique_ptr<UploadWriter> writer, std::string request_id, Answer answer)
      : writer_(std::move(writer)),
        request_id_(std::move(request_id)),
        answer_(std::move(answer)) {}
  ~UploadSink() override;

  Result<void> Write(ConstBytes bytes) override;
  http::Response Refuse(const Error& error) override;
  http::Response Finish() override;

 private:
  Result<UploadFile> Commit();

  std::unique_ptr<UploadWriter> writer_;
  const std::string request_id_;
  const Answer answer_;
  uint64_t pending_ = 0;  // appended, not yet durable
  std::chrono::steady_clock::time_point committed_at_ = std::chrono::steady_clock::now();
};

}  // namespace signum
