#include "client/node/serve/jinja/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/node/serve/jinja/jinja_support.h"
#include "tests/support/result_matchers.h"

namespace signum::client::jinja {
namespace {

// A rendering of a template that gets `said` from outside: what comes from there in brackets.
std::string Marked(std::string_view source, const std::string& said) {
  const Text text = RenderText(source, {{"said", Value::Of(Text(said, true))}}).value();
  std::string out;
  size_t at = 0;
  for (const Text::Range& range : text.tainted()) {
    out += text.bytes().substr(at, range.begin - at) + "[" +
           text.bytes().substr(range.begin, range.end - range.begin) + "]";
    at = range.end;
  }
  return out + text.bytes().substr(at);
}

TEST(JinjaTemplate, KnowsWhichBytesCameFromOutside) {
  EXPECT_EQ(Marked("a{{ said }}b", "xy"), "a[xy]b");
  EXPECT_EQ(Marked("{{ 'a' + said ~ 'b' }}", "xy"), "a[xy]b");
  EXPECT_EQ(Marked("{{ ('a ' ~ said ~ ' b') | trim }}", "x"), "a [x] b");
  EXPECT_EQ(Marked("{{ (said ~ ' b ').strip() }}", " x"), "[x] b");
  EXPECT_EQ(Marked("{{ ('ab' ~ said ~ 'cd')[1:4] }}", "xy"), "b[xy]");
  EXPECT_EQ(Marked("{{ (said ~ 'cd')[::-1] }}", "xy"), "dc[yx]");
  EXPECT_EQ(Marked("{{ ('a,' ~ said ~ ',b').split(',') | join('+') }}", "x,y"), "a+[x]+[y]+b");
  EXPECT_EQ(Marked("{{ ('a-' ~ said) | replace('-', '<>') }}", "x-"), "a<>[x]<>");
  EXPECT_EQ(Marked("{{ 'a-b' | replace('-', said) }}", "x"), "a[x]b");
  EXPECT_EQ(Marked("{{ ('a' ~ said) | upper }}", "\xc3\x9f"), "A[SS]");
  EXPECT_EQ(Marked("{{ ('a ' ~ said) | title }}", "bc"), "A [Bc]");
  EXPECT_EQ(Marked("{{ {'a': said} | tojson }}", "x\n"), R"({"a": "[x\n]"})");
  EXPECT_EQ(Marked("{{ [said] }}", "x"), "['[x]']");
  EXPECT_EQ(Marked("{% set t %}a{{ said }}{% endset %}{{ t * 2 }}", "x"), "a[x]a[x]");
  EXPECT_EQ(Marked("{% macro m(v) %}<{{ v }}>{% endmacro %}{{ m(said) }}", "x"), "<[x]>");
  EXPECT_EQ(Marked("{{ '%s!' % said }}{{ '{}'.format(said) }}", "x"), "[x]![x]");
  EXPECT_EQ(Marked("{{ ('a\\n' ~ said) | indent(2) }}", "x\ny"), "a\n  [x]\n  [y]");
  EXPECT_EQ(Marked("{{ said | e }}{{ said | safe + '<' }}", "<"), "[&lt;<]&lt;");
  EXPECT_EQ(Marked("{% for c in said %}{{ c }}.{% endfor %}", "xy"), "[x].[y].");
  EXPECT_EQ(Marked("{{ {said: 1}.items() | map('first') | join }}", "k"), "[k]");
}

TEST(JinjaTemplate, RefusesAtOnceWhatItDoesNotSupport) {
  const auto refused = [](const std::string& source, const std::string& what) {
    EXPECT_THAT(Template::Parse(source), FailsWith(Errc::kUnusable, "unsupported_template", what))
        << source;
  };
  refused("a\n{% if no %}{{ x | groupby('y') }}{% endif %}", "line 2: the filter 'groupby'");
  refused("{{ x is wonderful }}", "the test 'wonderful'");
  refused("{{ x | map('nofilter') }}", "the filter 'nofilter'");
  refused("{{ x | selectattr('a', 'notest') }}", "the test 'notest'");
  refused("{{ x.encode() }}", "the method 'encode'");
  refused("\n\n{% include 'x' %}", "line 3: {% include %}");
  refused("{% for x in y recursive %}{% endfor %}", "recursive");
  refused("{% call f() %}{% endcall %}", "{% call %}");
  refused("{% for x in y %}{% macro f() %}{% endmacro %}{% endfor %}", "macro");
  refused("{{ x.__class__ }}", "__class__");
  refused("{{ cycler(1) }}", "cycler");
  refused("{% for x in messages %}{{ tools }}{% endfor %}\n{% set tools = 1 %}", "line 2: 'tools'");
  refused("{% break %}", "break");
  refused("{% for x in y %}{% generation %}{% break %}{% endgeneration %}{% endfor %}", "break");
  refused("{{ 99999999999999999999 }}", "number");
  refused("{{ 0x10 }}", "number");
  refused("{{ '\\ud800' }}", "escape");
  refused("\xff", "UTF-8");
  refused(std::string((1 << 20) + 1, 'x'), "megabyte");
}

TEST(JinjaTemplate, RefusesWhatIsMalformed) {
  for (const char* source : {"{{",
                             "{{ x",
                             "{% if x %}",
                             "{% endif %}",
                             "{% if %}{% endif %}",
                             "{{ x | }}",
                             "{{ ) }}",
                             "{{ [1, }}",
                             "{{ (1 }}",
                             "{{ x. }}",
                             "{{ 'a }}",
                             "{# a",
                             "{% raw %}",
                             "{% for x %}{% endfor %}",
                             "{% set %}",
                             "{% set x = %}",
                             "{% set true = 1 %}",
                             "{% set loop = 1 %}",
                             "{{ 1 2 }}",
                             "{{ x[] }}",
                             "{% else %}",
                             "{% if x %}{% endfor %}",
                             "{% macro %}{% endmacro %}",
                             "{{ f(a=1, 2) }}",
                             "{{ ! }}",
                             "{% macro f(a=1, b) %}{% endmacro %}",
                             "{{ {1} }}",
                             "{{ a is }}",
                             "{% 'endif' %}",
                             "{% if x }}"}) {
    EXPECT_TRUE(Template::Parse(source).has_error()) << source;
  }
}

TEST(JinjaTemplate, SaysWhereItFailed) {
  EXPECT_THAT(RenderText("a\n{% for x in [1] %}\n{{ y.z }}\n{% endfor %}"),
              FailsWith(Errc::kInvalid, "chat_template_failed", "line 3: 'y' is undefined"));
  EXPECT_THAT(RenderText("{{ raise_exception('system last') }}"),
              FailsWith(Errc::kInvalid, "bad_messages", "system last"));
}

TEST(JinjaTemplate, IsBoundedInTimeSizeAndDepth) {
  const std::string deep(5000, '('), nots = [] {
    std::string out;
    for (int i = 0; i < 5000; ++i) out += "not ";
    return out;
  }();
  std::string ifs, sum = "1", dots = "x";
  for (int i = 0; i < 5000; ++i) ifs += "{% if 1 %}", sum += "+1", dots += ".x";
  for (const std::string& source : {"{{ " + deep, "{{ " + nots + "1 }}", "{{ " + sum + " }}", ifs,
                                    "{{ " + dots + " }}", "{{ " + std::string(5000, '-') + "1 }}",
                                    "{% set " + deep, "{{ x" + std::string(5000, '[')}) {
    EXPECT_TRUE(Template::Parse(source).has_error()) << source.substr(0, 40);
  }
  const std::string loops =
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
  const std::string doubling =
      "{% set ns = namespace(x=['a', 'b']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% endfor %}{{ ns.x }}";
  for (const std::string& source : {
           loops,
           std::string("{{ 'x' * 999999999999 }}"),
           std::string("{{ [1] * 999999999999 }}"),
           std::string("{{ range(100001) }}"),
           std::string("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
           std::string("{% for i in range(99) %}{{ 'x' * 100000 }}{% endfor %}"),
           std::string(
               "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x ~ "
               "ns.x %}{% endfor %}"),
           std::string("{% set ns = namespace(x=1) %}{% for i in range(999) %}{% set ns.x = [ns.x] "
                       "%}{% endfor %}"),
           std::string("{% for i in range(9999) %}{% set x = namespace() %}{% endfor %}"),
           std::string(
               "{% set x = 'a' * 1000000 %}{% for i in range(9999) %}{{ 'b' in x }}{% endfor "
               "%}"),
           doubling,
       }) {
    EXPECT_TRUE(RenderText(source).has_error()) << source;
  }
}

TEST(JinjaTemplate, RenderingsShareNothing) {
  const auto parsed =
      Template::Parse("{% set ns = namespace(n=said) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}")
          .value();
  for (int i = 0; i < 3; ++i) {
    const Text text = parsed->Render({{"said", Value::Integer(int64_t{1})}}, GoldenTime()).value();
    EXPECT_EQ(text.bytes(), "2");
  }
}

}  // namespace
}  // namespace signum::client::jinja
