// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"
#include "config/base/failure.hpp"
#include "runtime-plugin/cli/command_line.hpp"

#include <gmock/gmock.h>

namespace kata_vfio::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Arguments arguments(const std::vector<std::string>& args) {
    return std::get<Arguments>(parse(args));
}

std::string refusal(const std::vector<std::string>& args) {
    try {
        parse(args);
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), Errc::invalid_argument);
        return failure.what();
    }
    return "taken";
}

TEST(CommandLine, VerbsAndTheirOperands) {
    const auto attach = arguments({"attach", "s1", "0000:00:02.0", "--dry-run"});
    EXPECT_EQ(attach.verb, Verb::attach);
    EXPECT_EQ(attach.sandbox, "s1");
    EXPECT_EQ(attach.device, "0000:00:02.0");
    EXPECT_TRUE(attach.dry_run);
    EXPECT_FALSE(attach.json);
    EXPECT_EQ(attach.root, "/");

    const auto open = arguments({"sandbox", "open", "s1", "--qmp", "/run/q.sock"});
    EXPECT_EQ(open.verb, Verb::sandbox_open);
    EXPECT_EQ(open.qmp, "/run/q.sock");

    EXPECT_EQ(arguments({"sandbox", "release", "s1"}).verb, Verb::sandbox_release);
    EXPECT_EQ(arguments({"config", "enable", "f.toml"}).subject, "f.toml");
    EXPECT_EQ(arguments({"config", "enable", "f.toml"}).verb, Verb::config_enable);
    EXPECT_EQ(arguments({"create", "t@p", "--uuid", "u"}).uuid, "u");
    EXPECT_TRUE(arguments({"check", "--gvt-g"}).gvt_g);
    EXPECT_TRUE(arguments({"gpus", "--all"}).all);
    EXPECT_EQ(arguments({"list"}).sandbox, "");
    EXPECT_EQ(arguments({"topology", "--svg", "o.svg"}).svg, "o.svg");
    EXPECT_EQ(arguments({"xml", "export", "s1"}).verb, Verb::xml_export);
    EXPECT_TRUE(arguments({"xml", "export", "--nodedev", "0000:00:02.0"}).nodedev);
    EXPECT_EQ(arguments({"xml", "import", "-"}).subject, "-");
    EXPECT_EQ(arguments({"xml", "check", "s1"}).verb, Verb::xml_check);
}

TEST(CommandLine, AVerbThatConfigTookForItsFileIsNamed) {
    EXPECT_THAT(refusal({"--config", "list"}), HasSubstr("--config took 'list' as its FILE"));
    EXPECT_THAT(refusal({"--config=list"}), HasSubstr("--config took 'list' as its FILE"));
    EXPECT_THAT(refusal({"--config=list", "list"}), "taken") << "a file may be called so";
    EXPECT_THAT(refusal({"--config", "f.toml"}), HasSubstr("no verb is given"));
}

TEST(CommandLine, GlobalOptionsStandBeforeAndBehindTheVerb) {
    for (const auto& args : {std::vector<std::string>{"--json", "--config", "c", "list", "s1"},
                             {"list", "s1", "--json", "--config", "c"},
                             {"list", "--json", "s1", "--config=c"}}) {
        const auto parsed = arguments(args);
        EXPECT_TRUE(parsed.json);
        EXPECT_EQ(parsed.config, "c");
        EXPECT_EQ(parsed.sandbox, "s1");
    }
    EXPECT_TRUE(arguments({"sandbox", "open", "s1", "-v", "--json"}).verbose);
}

TEST(CommandLine, AnnotationsAreSplitAtTheFirstEqualsSign) {
    const auto parsed =
        arguments({"sandbox", "open", "--annotation", "a.b=c=d", "s1", "--annotation", "e="});
    EXPECT_EQ(parsed.sandbox, "s1");
    EXPECT_THAT(parsed.annotations,
                testing::ElementsAre(std::pair<std::string, std::string>("a.b", "c=d"),
                                     std::pair<std::string, std::string>("e", "")));
    EXPECT_THAT(refusal({"sandbox", "open", "s1", "--annotation", "nothing"}),
                HasSubstr("'nothing' is not KEY=VALUE"));
    EXPECT_THAT(refusal({"sandbox", "open", "s1", "--annotation", "=v"}),
                HasSubstr("is not KEY=VALUE"));
}

TEST(CommandLine, WrongUsageNamesWhatWasMeant) {
    EXPECT_EQ(refusal({"atach", "s1", "x"}),
              "'atach' is no verb of kata-vfio; did you mean attach?");
    EXPECT_EQ(refusal({"xyzzy"}), "'xyzzy' is no verb of kata-vfio; kata-vfio --help lists them");
    EXPECT_EQ(refusal({"--config", "c", "lst"}),
              "'lst' is no verb of kata-vfio; did you mean list?");
    EXPECT_THAT(refusal({"attach", "s1"}), StartsWith("attach: DEVICE is required"));
    EXPECT_THAT(refusal({"attach", "s1"}), HasSubstr("see kata-vfio attach --help"));
    EXPECT_THAT(refusal({"sandbox", "open"}), HasSubstr("see kata-vfio sandbox open --help"));
    const std::pair<std::vector<std::string>, const char*> typed[] = {
        {{"gpus", "--al"}, "'--al' is no option of kata-vfio gpus; did you mean --all?"},
        {{"attach", "s1", "d", "--dryrun"},
         "'--dryrun' is no option of kata-vfio attach; did you mean --dry-run?"},
        {{"--jsn", "list"}, "'--jsn' is no option of kata-vfio; did you mean --json?"},
        {{"--dry-run", "attach", "s1", "d"},
         "'--dry-run' is no option of kata-vfio; did you mean --dry-run of attach or reconcile? It "
         "stands behind that"},
        {{"--dryrun", "attach"},
         "'--dryrun' is no option of kata-vfio; did you mean --dry-run of attach or reconcile? It "
         "stands behind that"},
        {{"detach", "s1", "d", "--qpm", "p"},
         "'--qpm' is no option of kata-vfio detach; did you mean --qmp of sandbox open? It stands "
         "behind that"},
        {{"list", "--zzz=1"}, "'--zzz' is no option of kata-vfio list; see kata-vfio list --help"},
        {{"sandbox", "open", "s1", "--annotation", "--x", "--qpm", "p"},
         "'--qpm' is no option of kata-vfio sandbox open; did you mean --qmp?"},
        {{"sandbox", "opn", "s1"}, "'opn' is no verb of kata-vfio sandbox; did you mean open?"},
        {{"sandbox", "zzz"},
         "'zzz' is no verb of kata-vfio sandbox; kata-vfio sandbox --help lists them"},
        {{"release", "s1"}, "'release' is no verb of kata-vfio; did you mean sandbox release?"},
        {{"enabel"}, "'enabel' is no verb of kata-vfio; did you mean config enable?"},
        {{"help"}, "'help' is no verb of kata-vfio; kata-vfio --help"},
        {{"help", "attach"}, "'help' is no verb of kata-vfio; kata-vfio attach --help"},
        {{"--help", "x"}, "taken"},
    };
    for (const auto& [args, text] : typed)
        EXPECT_EQ(refusal(args), text);
    EXPECT_THAT(refusal({"bind", "a", "b"}), HasSubstr("b"));
    EXPECT_THAT(refusal({}), HasSubstr("see kata-vfio --help"));
}

// Our words, not the parser's: what is wrong, where, and what is taken.
TEST(CommandLine, AWrongValueSaysWhatIsTaken) {
    const std::string longest(400, '9');
    const std::pair<std::vector<std::string>, std::string> typed[] = {
        {{"trace", "s1", "--slow", "x"},
         "trace: --slow: 'x' is no whole number of milliseconds from 0 to 1000000000; see "
         "kata-vfio trace --help"},
        {{"trace", "s1", "--slow=-5"},
         "trace: --slow: '-5' is no whole number of milliseconds from 0 to 1000000000; see "
         "kata-vfio trace --help"},
        {{"trace", "s1", "--slow", "99999999999999999999999999"},
         "trace: --slow: '99999999999999999999999999' is no whole number of milliseconds from 0 to "
         "1000000000; see kata-vfio trace --help"},
        {{"top", "--interval", "x"},
         "top: --interval: 'x' is no whole number of seconds from 1 to 86400; see kata-vfio top "
         "--help"},
        {{"top", "--interval", "1.5"},
         "top: --interval: '1.5' is no whole number of seconds from 1 to 86400; see kata-vfio top "
         "--help"},
        {{"top", "--interval", "010"},
         "top: --interval: '010' is no whole number of seconds from 1 to 86400; see kata-vfio top "
         "--help"},
        {{"top", "--count", "0"},
         "top: --count: '0' is no whole number of looks from 1 to 1000000000; see kata-vfio top "
         "--help"},
        {{"events", "s1", "--timeout", ""},
         "events: --timeout: must not be empty; see kata-vfio events --help"},
        {{"sandbox", "open", "s1", "--owner", "0"},
         "sandbox open: --owner: '0' is no process id: a whole number from 1 to 4194304; see "
         "kata-vfio sandbox open --help"},
        {{"topology", "--svg"},
         "topology: --svg has no value; write it as --svg OUT (Draw it into this file): see "
         "kata-vfio topology --help"},
        {{"topology", "--svg", "--json"},
         "topology: --svg has no value; write it as --svg OUT (Draw it into this file): see "
         "kata-vfio topology --help"},
        {{"topology", "--svg="},
         "topology: --svg has no value; write it as --svg OUT (Draw it into this file): see "
         "kata-vfio topology --help"},
        {{"--config", "--json", "list"},
         "usage: --config has no value; write it as --config FILE (Kata's configuration.toml "
         "(default: $KATA_CONF_FILE, /etc/kata-containers, /usr/share/defaults/kata-containers, "
         "/opt/kata/share/defaults/kata-containers)): see kata-vfio --help"},
        {{"top", "--once=3"},
         "top: --once takes no value; leave out what stands behind the =: see kata-vfio top "
         "--help"},
        {{"check", "--gvt-d=x"},
         "check: --gvt-d takes no value; leave out what stands behind the =: see kata-vfio check "
         "--help"},
        {{"attach", "s1", "x", "y", "z"},
         "attach: 'y' and 'z' are too many: it takes ID and DEVICE; see kata-vfio attach --help"},
        {{"gpus", "x"}, "gpus: 'x' is too many: it takes no operand; see kata-vfio gpus --help"},
        {{"sandbox"},
         "sandbox: no verb is given: it has open and release; see kata-vfio sandbox --help"},
        {{}, "usage: no verb is given; see kata-vfio --help"},
    };
    for (const auto& [args, text] : typed)
        EXPECT_EQ(refusal(args), text);
    EXPECT_LT(refusal({"top", "--count", longest}).size(), 300u);
}

// What is empty is mostly a shell's variable that was never set: `list "$ID"` is not `list`.
TEST(CommandLine, NothingThatIsNamedMayBeEmpty) {
    for (const auto& args : {std::vector<std::string>{"list", ""},
                             {"types", ""},
                             {"trace", ""},
                             {"attach", "", "0000:00:02.0"},
                             {"attach", "s1", ""},
                             {"bind", ""},
                             {"sandbox", "open", "s1", "--qmp", ""},
                             {"qmp", "--socket", "", "query-status"},
                             {"qmp", "", "query-status"},
                             {"config", "check", ""},
                             {"xml", "import", ""},
                             {"--config", "", "list"}})
        EXPECT_THAT(refusal(args), HasSubstr(": must not be empty; see kata-vfio ")) << args[0];
    EXPECT_THAT(arguments({"sandbox", "open", "s1", "--annotation", "a="}).annotations,
                testing::SizeIs(1));
}

// 5: nothing is asked of a name server.
TEST(CommandLine, ADaemonsAddressHasOneOfTwoForms) {
    for (const auto* good : {"unix:/run/kata-vfiod/kata-vfiod.sock", "unix:///run/d.sock",
                             "unix:d.sock", "localhost:9640", "10.0.0.1:1", "[::1]:65535"})
        EXPECT_EQ(arguments({"--daemon", good, "list"}).daemon, good);
    for (const auto* bad : {"foo", "unix:", ":1", "localhost:", "localhost:0", "localhost:99999",
                            "localhost:http", "::1:9640", "/run/kata-vfiod/kata-vfiod.sock"})
        EXPECT_EQ(
            refusal({"--daemon", bad, "list"}),
            "list: --daemon: '" + std::string(bad) +
                "' is no daemon's address: unix:PATH or HOST:PORT; see kata-vfio list --help");
    EXPECT_EQ(command({"--daemon", "foo", "list"}).status, 2);
}

TEST(CommandLine, HelpEverywhereWithExamples) {
    for (const auto& verb : {std::vector<std::string>{},
                             {"check"},
                             {"gpus"},
                             {"types"},
                             {"vgpus"},
                             {"create"},
                             {"remove"},
                             {"bind"},
                             {"restore"},
                             {"attach"},
                             {"detach"},
                             {"list"},
                             {"trace"},
                             {"sandbox", "open"},
                             {"sandbox", "release"},
                             {"config", "check"},
                             {"config", "enable"},
                             {"config", "show"}}) {
        auto args = verb;
        args.push_back("--help");
        const auto run = command(args);
        EXPECT_EQ(run.status, 0);
        EXPECT_EQ(run.err, "");
        EXPECT_THAT(run.out, HasSubstr("Examples:\n  kata-vfio"));
        EXPECT_THAT(run.out, HasSubstr(verb.empty() ? "kata-vfio" : "kata-vfio " + verb.front()));
    }
    EXPECT_THAT(command({"attach", "--help"}).out, HasSubstr("--dry-run"));
    EXPECT_THAT(command({"--help"}).out, HasSubstr("130 cancelled"));
    EXPECT_THAT(command({"--help"}).out, testing::Not(HasSubstr("--root")));
    for (const std::string family : {"sandbox", "config"}) {
        const auto help = command({family, "--help"}).out;
        EXPECT_THAT(help, HasSubstr("Examples:\n  kata-vfio " + family));
        EXPECT_THAT(help, testing::Not(HasSubstr("kata-vfio gpus")));
        EXPECT_THAT(help, testing::Not(HasSubstr("kata-vfio attach")));
    }
    EXPECT_EQ(command({"--version"}).out, "kata-vfio " KATA_VFIO_VERSION "\n");
}

TEST(CommandLine, UsageErrorsEndWith2AndSpeakJsonWhenAsked) {
    const auto plain = command({"remove"});
    EXPECT_EQ(plain.status, 2);
    EXPECT_EQ(plain.out, "");
    EXPECT_THAT(plain.err, StartsWith("kata-vfio: remove: UUID is required\n"));
    EXPECT_THAT(plain.err, HasSubstr("  what to do: see kata-vfio remove --help\n"));

    const auto json = command({"remove", "--json"});
    EXPECT_EQ(json.status, 2);
    const auto error = json.json().at("error").as_object();
    EXPECT_EQ(error.at("status"), 200);
    EXPECT_EQ(error.at("name"), "invalid_argument");
    EXPECT_EQ(error.at("problem"), "UUID is required");
}

} // namespace
} // namespace kata_vfio::cli
