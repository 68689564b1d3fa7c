#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "server/principal.h"
#include "tests/server/fixture.h"
#include "tests/server/models.h"

namespace signum::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

const HeaderList kPatch = {{"Tus-Resumable", "1.0.0"},
                           {"Content-Type", "application/offset+octet-stream"}};

HeaderList PatchAt(uint64_t offset) {
  HeaderList headers = kPatch;
  headers.emplace_back("Upload-Offset", std::to_string(offset));
  return headers;
}

class UploadsTest : public testing::Test {
 protected:
  UploadsTest() : publisher_(service_.As(Role::kPublisher, {"acme"})) {}

  // One file of `size` patterned bytes; returns the path of its URL.
  std::string OneFile(uint64_t size, bool declare = true) {
    bytes_ = std::string(size, '\0');
    for (uint64_t i = 0; i < size; ++i) bytes_[i] = static_cast<char>(i * 131 >> 3);
    const json upload = CreateUpload(publisher_, {{"a/b.bin", bytes_}}, declare);
    id_ = upload["id"];
    return PathOf(upload["files"][0]["url"]);
  }

  uint64_t OffsetOf(const std::string& url) {
    const Reply reply = publisher_.Call("HEAD", url);
    EXPECT_EQ(reply.status, 200);
    return std::stoull(reply.Header("upload-offset"));
  }

  Service service_{{.worker = false}};
  Client publisher_;
  std::string id_, bytes_;
};

TEST_F(UploadsTest, CreateDescribesTheUpload) {
  const Reply reply = publisher_.Post(
      "/v1/uploads",
      {{"files",
        {{{"path", "config.json"}, {"size", 3}}, {{"path", "w/model.safetensors"}, {"size", 0}}}}});
  ASSERT_EQ(reply.status, 201) << reply.body;
  const json upload = reply.Json();
  const std::string host = "http://127.0.0.1:" + std::to_string(service_.port());
  EXPECT_EQ(reply.Header("location"), host + "/v1/uploads/" + upload["id"].get<std::string>());
  EXPECT_THAT(reply.Header("upload-expires"), testing::EndsWith(" GMT"));
  EXPECT_EQ(reply.Header("tus-resumable"), "1.0.0");
  ASSERT_EQ(upload["files"].size(), 2u);
  EXPECT_EQ(upload["complete"], false);
  EXPECT_EQ(upload["files"][0]["path"], "config.json");
  EXPECT_EQ(upload["files"][0]["offset"], 0);
  EXPECT_EQ(upload["files"][0]["sha256"], nullptr);
  EXPECT_THAT(upload["files"][1]["url"].get<std::string>(), StartsWith(host + "/v1/uploads/"));
  const Reply again = publisher_.Get(PathOf(reply.Header("location")));
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.Json(), upload);
}

TEST_F(UploadsTest, CreateRefusesWhatIsWrongAndNamesIt) {
  struct Case {
    const char* body;
    int status;
    const char* code;
    const char* names;
  };
  const Case cases[] = {
      {"{", 400, "bad_json", ""},
      {"[]", 400, "bad_body", "object"},
      {R"({"files":[{"path":"a","size":1}],"files":[]})", 400, "bad_json", ""},
      {"{}", 422, "missing_field", "files"},
      {R"({"files":{}})", 422, "bad_field", "files"},
      {R"({"files":[1]})", 422, "bad_field", "files[0]"},
      {R"({"files":[{"size":1}]})", 422, "missing_field", "files[0].path"},
      {R"({"files":[{"path":"a"}]})", 422, "missing_field", "files[0].size"},
      {R"({"files":[{"path":"a","size":-1}]})", 422, "bad_field", "files[0].size"},
      {R"({"files":[{"path":"a","size":1.5}]})", 422, "bad_field", "files[0].size"},
      {R"({"files":[{"path":"a","size":1e30}]})", 422, "bad_field", "files[0].size"},
      {R"({"files":[{"path":"a","size":1,"sha256":"abc"}]})", 422, "bad_field", "files[0].sha256"},
      {R"({"files":[{"path":"a","size":1,"sha":"x"}]})", 422, "unknown_field", "files[0].sha"},
      {R"({"files":[{"path":"a","size":1}],"file":1})", 422, "unknown_field", "file"},
      {R"({"files":[{"path":"../a","size":1}]})", 400, "bad_path", "../a"},
      {R"({"files":[{"path":"/etc/passwd","size":1}]})", 400, "bad_path", "/etc/passwd"},
      {R"({"files":[{"path":"a/../../b","size":1}]})", 400, "bad_path", "a/../../b"},
      {R"({"files":[{"path":"a//b","size":1}]})", 400, "bad_path", "a//b"},
      {R"({"files":[{"path":"a\\b","size":1}]})", 400, "bad_path", ""},
      {R"({"files":[{"path":"a\u0000b","size":1}]})", 400, "bad_path", ""},
      {R"({"files":[{"path":"","size":1}]})", 400, "bad_path", ""},
  };
  for (const Case& wrong : cases) {
    const Reply reply = publisher_.Call("POST", "/v1/uploads", {}, wrong.body);
    EXPECT_EQ(reply.status, wrong.status) << wrong.body << "\n" << reply.body;
    EXPECT_EQ(reply.Code(), wrong.code) << wrong.body;
    EXPECT_THAT(reply.body, HasSubstr(wrong.names)) << wrong.body;
    EXPECT_EQ(reply.Header("content-type"), "application/problem+json");
  }
}

TEST_F(UploadsTest, CreateRefusesPathsThatCannotBothBeFiles) {
  for (const auto* second : {"a", "a/b"}) {
    const Reply reply = publisher_.Post(
        "/v1/uploads",
        {{"files", {{{"path", "a"}, {"size", 1}}, {{"path", second}, {"size", 1}}}}});
    EXPECT_GE(reply.status, 400) << second;
    EXPECT_LT(reply.status, 500) << second;
  }
  EXPECT_EQ(publisher_.Post("/v1/uploads", {{"files", json::array()}}).status / 100, 4);
}

TEST_F(UploadsTest, PatchResumesWhereHeadSays) {
  const std::string url = OneFile(100'000);
  const Reply first = publisher_.Call("PATCH", url, PatchAt(0), bytes_.substr(0, 40'000));
  ASSERT_EQ(first.status, 204) << first.body;
  EXPECT_EQ(first.Header("upload-offset"), "40000");
  EXPECT_EQ(first.Header("tus-resumable"), "1.0.0");
  const Reply head = publisher_.Call("HEAD", url, {{"Tus-Resumable", "1.0.0"}});
  EXPECT_EQ(head.Header("upload-offset"), "40000");
  EXPECT_EQ(head.Header("upload-length"), "100000");
  EXPECT_EQ(head.Header("cache-control"), "no-store");
  const Reply rest = publisher_.Call("PATCH", url, PatchAt(40'000), bytes_.substr(40'000));
  ASSERT_EQ(rest.status, 204) << rest.body;
  const json upload = publisher_.Get("/v1/uploads/" + id_).Json();
  EXPECT_EQ(upload["complete"], true);
  EXPECT_EQ(upload["files"][0]["sha256"], Sha256Text(bytes_));
}

TEST_F(UploadsTest, PatchTakesAChunkedBody) {
  const std::string url = OneFile(10);
  Connection connection(service_.port());
  HeaderList headers = PatchAt(0);
  headers.emplace_back("Transfer-Encoding", "chunked");
  std::string head = publisher_.Head("PATCH", url, headers, 0);
  head.erase(head.find("Content-Length: 0\r\n"), 19);
  connection.Send(head + "4\r\n" + bytes_.substr(0, 4) + "\r\n6\r\n" + bytes_.substr(4) +
                  "\r\n0\r\n\r\n");
  const Reply reply = connection.ReadReply();
  EXPECT_EQ(reply.status, 204) << reply.body;
  EXPECT_EQ(reply.Header("upload-offset"), "10");
}

TEST_F(UploadsTest, PatchRefusesWrongHeaders) {
  const std::string url = OneFile(10);
  const Reply offset = publisher_.Call("PATCH", url, PatchAt(3), "abc");
  EXPECT_EQ(offset.status, 409);
  EXPECT_EQ(offset.Code(), "wrong_offset");
  EXPECT_EQ(publisher_.Call("PATCH", url, kPatch, "abc").Code(), "bad_header");
  HeaderList negative = kPatch;
  negative.emplace_back("Upload-Offset", "-1");
  EXPECT_EQ(publisher_.Call("PATCH", url, negative, "abc").status, 400);

  const Reply type = publisher_.Call(
      "PATCH", url, {{"Upload-Offset", "0"}, {"Content-Type", "text/plain"}}, "abc");
  EXPECT_EQ(type.status, 415);
  EXPECT_EQ(type.Code(), "unsupported_media_type");

  HeaderList old = PatchAt(0);
  old[0].second = "0.2.2";
  const Reply version = publisher_.Call("PATCH", url, old, "abc");
  EXPECT_EQ(version.status, 412);
  EXPECT_EQ(version.Header("tus-version"), "1.0.0");
  EXPECT_EQ(OffsetOf(url), 0u);
}

TEST_F(UploadsTest, RefusesMoreThanWasDeclared) {
  const std::string url = OneFile(10);
  const Reply declared = publisher_.Call("PATCH", url, PatchAt(0), std::string(11, 'x'));
  EXPECT_EQ(declared.status, 413);
  EXPECT_EQ(declared.Code(), "upload_too_large");
  EXPECT_EQ(OffsetOf(url), 0u);
  EXPECT_EQ(publisher_.Call("PUT", url, {}, std::string(11, 'x')).status, 413);

  Connection connection(service_.port());  // a length that only shows while it comes
  HeaderList headers = PatchAt(0);
  headers.emplace_back("Transfer-Encoding", "chunked");
  std::string head = publisher_.Head("PATCH", url, headers, 0);
  head.erase(head.find("Content-Length: 0\r\n"), 19);
  connection.Send(head + "b\r\nhello world\r\n0\r\n\r\n");
  const Reply shown = connection.ReadReply();
  EXPECT_EQ(shown.status, 413);
  EXPECT_EQ(shown.Header("tus-resumable"), "1.0.0");
  EXPECT_EQ(OffsetOf(url), 0u);
}

TEST_F(UploadsTest, AnotherDigestIsRefusedAndTheFileStartsAgain) {
  const std::string url = OneFile(1000);
  std::string other = bytes_;
  other[500] ^= 1;
  const Reply reply = publisher_.Call("PUT", url, {}, other);
  EXPECT_EQ(reply.status, 422);
  EXPECT_EQ(reply.Code(), "digest_mismatch");
  EXPECT_THAT(reply.body, HasSubstr("a/b.bin"));
  EXPECT_THAT(reply.body, HasSubstr(Sha256Text(other)));
  EXPECT_EQ(OffsetOf(url), 0u);
  EXPECT_EQ(publisher_.Call("PUT", url, {}, bytes_).status, 200);
}

TEST_F(UploadsTest, OneWriterAtATime) {
  const std::string url = OneFile(200'000);
  Connection slow(service_.port());
  HeaderList headers = PatchAt(0);
  headers.emplace_back("Expect", "100-continue");
  slow.Send(publisher_.Head("PATCH", url, headers, bytes_.size()));
  ASSERT_THAT(slow.ReadUntil("\r\n\r\n"), HasSubstr(" 100 "));  // it has its hold on the file
  slow.Send(bytes_.substr(0, 100'000));
  const Reply second = publisher_.Call("PATCH", url, PatchAt(0), "x");
  EXPECT_EQ(second.status, 409);
  EXPECT_EQ(second.Code(), "upload_busy");
  slow.Send(bytes_.substr(100'000));
  EXPECT_EQ(slow.ReadReply().status, 204);
  EXPECT_EQ(OffsetOf(url), bytes_.size());
}

TEST_F(UploadsTest, WhatAVanishedClientSentIsKept) {
  const std::string url = OneFile(3 << 20);
  {
    Connection connection(service_.port());
    connection.Send(publisher_.Head("PATCH", url, PatchAt(0), bytes_.size()));
    connection.Send(bytes_.substr(0, 2 << 20));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }  // closes in the middle of the body
  uint64_t offset = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while ((offset = OffsetOf(url)) == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_EQ(offset, 2u << 20);
  EXPECT_EQ(publisher_.Call("PATCH", url, PatchAt(offset), bytes_.substr(offset)).status, 204);
  const json upload = publisher_.Get("/v1/uploads/" + id_).Json();
  EXPECT_EQ(upload["files"][0]["sha256"], Sha256Text(bytes_));
}

TEST_F(UploadsTest, RefusalsComeBeforeTheBodyIsAskedFor) {
  const std::string url = OneFile(1 << 20);
  Connection connection(service_.port());
  HeaderList headers = PatchAt(77);
  headers.emplace_back("Expect", "100-continue");
  connection.Send(publisher_.Head("PATCH", url, headers, 1 << 20));
  const std::string head = connection.ReadUntil("\r\n");  // not "100 Continue"
  EXPECT_THAT(head, HasSubstr(" 409 "));
}

TEST_F(UploadsTest, PutTakesTheWholeFile) {
  const std::string url = OneFile(5000, false);
  const Reply shorter = publisher_.Call("PUT", url, {}, bytes_.substr(0, 10));
  EXPECT_EQ(shorter.status, 422);
  EXPECT_EQ(shorter.Code(), "size_mismatch");
  const Reply whole = publisher_.Call("PUT", url, {}, bytes_);
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(whole.Json()["sha256"], Sha256Text(bytes_));
  EXPECT_EQ(whole.Json()["offset"], 5000);
}

TEST_F(UploadsTest, PutStartsAfreshAfterAnInterruptedOne) {
  const std::string url = OneFile(5000);
  ASSERT_EQ(publisher_.Call("PATCH", url, PatchAt(0), std::string(100, 'x')).status, 204);
  EXPECT_EQ(publisher_.Call("PUT", url, {}, bytes_).status, 200);
}

TEST_F(UploadsTest, EmptyFilesAreCompleteWithoutAByte) {
  const std::string url = OneFile(0);
  EXPECT_EQ(publisher_.Call("PUT", url, {}, "").status, 200);
  const json after = publisher_.Get("/v1/uploads/" + id_).Json();
  EXPECT_EQ(after["complete"], true);
  EXPECT_EQ(after["files"][0]["sha256"], Sha256Text(""));
}

TEST_F(UploadsTest, DeleteGivesUp) {
  for (const bool by_file : {false, true}) {
    const std::string url = OneFile(10);
    const std::string target = by_file ? url : "/v1/uploads/" + id_;
    EXPECT_EQ(publisher_.Delete(target).status, 204);
    EXPECT_EQ(publisher_.Delete(target).status, 404);
    EXPECT_EQ(publisher_.Call("HEAD", url).status, 404);
    EXPECT_FALSE(std::filesystem::exists(service_.directory() / "uploads" / id_));
  }
}

TEST_F(UploadsTest, OthersUploadsDoNotExist) {
  const std::string url = OneFile(10);
  const Client stranger = service_.As(Role::kPublisher, {"other"});
  for (const auto& target : {url, "/v1/uploads/" + id_}) {
    EXPECT_EQ(stranger.Get(target).status, 404);
    EXPECT_EQ(stranger.Delete(target).status, 404);
  }
  EXPECT_EQ(stranger.Call("PATCH", url, PatchAt(0), "x").Code(), "unknown_upload");
  EXPECT_EQ(stranger.Call("PUT", url, {}, "x").Code(), "unknown_upload");
  const Client colleague = service_.As(Role::kPublisher, {"acme"});
  EXPECT_EQ(colleague.Get(url).status, 200);
  EXPECT_EQ(service_.admin().Get(url).status, 200);
}

TEST_F(UploadsTest, OnlyPublishersAndAdminsUpload) {
  const json body = {{"files", {{{"path", "a"}, {"size", 1}}}}};
  EXPECT_EQ(service_.As(Role::kNode, {"acme"}).Post("/v1/uploads", body).status, 403);
  EXPECT_EQ(service_.As(Role::kAuditor).Post("/v1/uploads", body).Code(), "role_required");
  EXPECT_EQ(Client(service_.port(), "").Post("/v1/uploads", body).status, 401);
  EXPECT_EQ(Client(service_.port(), "sgn_wrong").Post("/v1/uploads", body).status, 401);
  EXPECT_EQ(service_.admin().Post("/v1/uploads", body).status, 201);
}

TEST_F(UploadsTest, UnknownFileOfAnUpload) {
  OneFile(10);
  for (const auto* index : {"1", "x", "-1", "99999999999999999999"}) {
    const Reply reply = publisher_.Get("/v1/uploads/" + id_ + "/files/" + index);
    EXPECT_EQ(reply.status, 404) << index;
    EXPECT_EQ(reply.Code(), "unknown_file") << index;
  }
}

TEST_F(UploadsTest, OptionsTellTusClientsWhatIsSpoken) {
  const Reply reply = publisher_.Call("OPTIONS", "/v1/uploads");
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.Header("tus-version"), "1.0.0");
  EXPECT_EQ(reply.Header("tus-resumable"), "1.0.0");
  EXPECT_EQ(reply.Header("tus-extension"), "expiration,termination");
  EXPECT_EQ(reply.Header("allow"), "OPTIONS, POST");
  const Reply file = publisher_.Call("OPTIONS", "/v1/uploads/x/files/0");
  EXPECT_EQ(file.Header("allow"), "DELETE, GET, HEAD, OPTIONS, PATCH, PUT");
  EXPECT_EQ(publisher_.Call("OPTIONS", "/v1/uploads/x").Header("allow"),
            "DELETE, GET, HEAD, OPTIONS");
}

TEST_F(UploadsTest, AnIdempotencyKeyCreatesOnce) {
  const json body = {{"files", {{{"path", "a"}, {"size", 1}}}}};
  const HeaderList key = {{"Idempotency-Key", "k-1"}};
  const json first = publisher_.Post("/v1/uploads", body, key).Json();
  const json second = publisher_.Post("/v1/uploads", body, key).Json();
  EXPECT_EQ(first["id"], second["id"]);
}

TEST_F(UploadsTest, ARestartKeepsWhatWasAcknowledged) {
  const std::string url = OneFile(100'000);
  ASSERT_EQ(publisher_.Call("PATCH", url, PatchAt(0), bytes_.substr(0, 60'000)).status, 204);
  service_.Restart();
  const Client client(service_.port(), publisher_.token());
  EXPECT_EQ(client.Call("HEAD", url).Header("upload-offset"), "60000");
  ASSERT_EQ(client.Call("PATCH", url, PatchAt(60'000), bytes_.substr(60'000)).status, 204);
  EXPECT_EQ(client.Get("/v1/uploads/" + id_).Json()["files"][0]["sha256"], Sha256Text(bytes_));
}

TEST(UploadExpiryTest, AbandonedUploadsExpireAndFreeTheDisk) {
  ManualClock clock;
  Service service({.clock = &clock, .worker = false});
  const json upload = CreateUpload(service.admin(), {{"a", std::string(1 << 20, 'a')}});
  const std::string id = upload["id"];
  const std::string url = PathOf(upload["files"][0]["url"]);
  ASSERT_EQ(service.admin().Call("PATCH", url, PatchAt(0), std::string(1000, 'a')).status, 204);
  const auto folder = service.directory() / "uploads" / id;
  EXPECT_TRUE(std::filesystem::exists(folder));
  clock.Advance(std::chrono::hours(23));
  EXPECT_EQ(*service.app().uploads.Sweep(), 0u);
  clock.Advance(std::chrono::hours(26));
  EXPECT_EQ(*service.app().uploads.Sweep(), 1u);
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_EQ(service.admin().Get("/v1/uploads/" + id).status, 404);
}

}  // namespace
}  // namespace signum::test
