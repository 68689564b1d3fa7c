#include "client/model_ref.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

TEST(ModelRefTest, ReadsTheThreeForms) {
  const auto tenant = ModelRef::Parse("acme");
  ASSERT_THAT(tenant, Ok());
  EXPECT_EQ(tenant->tenant, "acme");
  EXPECT_EQ(tenant->model, "");
  const auto model = ModelRef::Parse("acme/chat-7b.v2");
  ASSERT_THAT(model, Ok());
  EXPECT_EQ(model->model, "chat-7b.v2");
  EXPECT_EQ(model->version, "");
  const auto version = ModelRef::Parse("acme/chat@12");
  ASSERT_THAT(version, Ok());
  EXPECT_EQ(version->model, "chat");
  EXPECT_EQ(version->version, "12");
}

TEST(ModelRefTest, NamesThePartAtFault) {
  EXPECT_THAT(ModelRef::Parse(""), FailsWith(Errc::kInvalid, "bad_name", "tenant"));
  EXPECT_THAT(ModelRef::Parse("Acme/chat"), FailsWith(Errc::kInvalid, "bad_name", "tenant 'Acme'"));
  EXPECT_THAT(ModelRef::Parse("acme/"), FailsWith(Errc::kInvalid, "bad_name", "model ''"));
  EXPECT_THAT(ModelRef::Parse("acme/a/b"), FailsWith(Errc::kInvalid, "bad_name", "model 'a/b'"));
  EXPECT_THAT(ModelRef::Parse("acme/../x"), FailsWith(Errc::kInvalid, "bad_name", "model"));
  EXPECT_THAT(ModelRef::Parse("acme/chat@"), FailsWith(Errc::kInvalid, "bad_name", "version ''"));
  EXPECT_THAT(ModelRef::ParseModel("acme"), FailsWith(Errc::kInvalid, "bad_name", "TENANT/MODEL"));
}

}  // namespace
}  // namespace signum::client
