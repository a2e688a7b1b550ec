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
    EXPECT_THAT(refusal({"--config", "f.toml"}), HasSubstr("A subcommand is required"));
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
