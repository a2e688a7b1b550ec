// SPDX-License-Identifier: Apache-2.0
// The verbs of the command line and their options.
#include "config/base/text.hpp"
#include "runtime-plugin/cli/command_parser.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace kata_vfio::cli {

void Parser::add_host_verbs() {
    auto* check = verb(app_, "check", Verb::check,
                       "What GVT-d and GVT-g need of this host, each with its fix",
                       "  kata-vfio check            exit 0 if GVT-d is ready, else 4\n"
                       "  kata-vfio check --gvt-g    exit 0 if GVT-g is ready, else 4\n"
                       "  kata-vfio check --guest-kernel "
                       "/usr/share/kata-containers/vmlinuz-intel-gpu.container\n");
    check->add_flag("--gvt-d", arguments_.gvt_d, "The exit status is about GVT-d (default)");
    check->add_flag("--gvt-g", arguments_.gvt_g, "The exit status is about GVT-g");
    check
        ->add_option("--guest-kernel", arguments_.guest_kernel,
                     "Not the host: whether this kernel image or .config can serve sandboxes")
        ->type_name("FILE");

    auto* gpus = verb(app_, "gpus", Verb::gpus,
                      "The host's display functions: driver, IOMMU group, what blocks it",
                      "  kata-vfio gpus\n  kata-vfio gpus --all --json\n");
    gpus->add_flag("--all", arguments_.all, "Every PCI function");

    auto* types = verb(app_, "types", Verb::types,
                       "The vGPU types that can be made, with resources and what is left",
                       "  kata-vfio types\n  kata-vfio types 0000:00:02.0\n");
    types->add_option("PARENT", arguments_.subject, "Only of this parent");

    verb(app_, "vgpus", Verb::vgpus, "The vGPUs there are, and who has them",
         "  kata-vfio vgpus\n  kata-vfio vgpus --json\n");

    auto* topology =
        verb(app_, "topology", Verb::topology,
             "GPUs, their IOMMU groups and vGPUs, and the sandboxes' slots they are in",
             "  kata-vfio topology\n  kata-vfio topology --svg host.svg\n");
    topology->add_flag("--all", arguments_.all, "Every PCI function");
    topology->add_option("--svg", arguments_.svg, "Draw it into this file")->type_name("OUT");

    auto* create = verb(app_, "create", Verb::create, "Make a vGPU",
                        "  kata-vfio create i915-GVTg_V4_8\n"
                        "  kata-vfio create i915-GVTg_V4_8@0000:00:02.0 --uuid "
                        "bbc4aafe-5807-11e8-a43e-03533cceae7d\n");
    create->add_option("TYPE", arguments_.subject, "TYPE or TYPE@PARENT (kata-vfio types)")
        ->required();
    create->add_option("--uuid", arguments_.uuid, "Its UUID (default: a random one)");

    auto* remove = verb(app_, "remove", Verb::remove, "Remove a vGPU",
                        "  kata-vfio remove bbc4aafe-5807-11e8-a43e-03533cceae7d\n");
    remove->add_option("UUID", arguments_.subject, "Of the vGPU (kata-vfio vgpus)")->required();

    auto* bind = verb(app_, "bind", Verb::bind,
                      "Take a PCI function from its driver and bind it to vfio-pci",
                      "  kata-vfio bind 0000:00:02.0\n");
    bind->add_option("BDF", arguments_.subject, "Its address, DDDD:BB:DD.F")->required();

    auto* restore = verb(app_, "restore", Verb::restore,
                         "Give a PCI function back to the driver it had before bind",
                         "  kata-vfio restore 0000:00:02.0\n");
    restore->add_option("BDF", arguments_.subject, "Its address, DDDD:BB:DD.F")->required();
}

void Parser::add_sandbox_verbs() {
    auto* sandbox = family("sandbox", "Make a sandbox known, or give all it has back",
                           "  kata-vfio sandbox open s1 --qmp /run/vc/vm/s1/extra-monitor.sock\n"
                           "  kata-vfio sandbox release s1\n");
    auto* open = verb(*sandbox, "open", Verb::sandbox_open,
                      "Check policy and the live QEMU, and remember the sandbox",
                      "  kata-vfio sandbox open s1 --qmp /run/vc/vm/s1/extra-monitor.sock\n"
                      "  kata-vfio sandbox open s1 --qmp /run/s1.qmp --annotation "
                      "io.katacontainers.config.hypervisor.machine_type=pc\n");
    add_sandbox_id(open);
    open->add_option("--qmp", arguments_.qmp,
                     "QEMU's QMP socket; may be left out for a sandbox opened before")
        ->type_name("PATH");
    open->add_option("--annotation", raw_annotations_, "A pod's annotation; repeatable")
        ->type_name("K=V")
        ->allow_extra_args(false);
    open->add_option("--owner", arguments_.owner,
                     "The process that it belongs to: its end is the sandbox's")
        ->type_name("PID")
        ->check(whole_number(1, 4194304, "process id: a whole number"));
    auto* release = verb(*sandbox, "release", Verb::sandbox_release,
                         "Unplug and give back all the sandbox has, and forget it",
                         "  kata-vfio sandbox release s1\n");
    add_sandbox_id(release);

    auto* attach = verb(app_, "attach", Verb::attach,
                        "Hot-plug a device, an IOMMU group or a new vGPU into a sandbox",
                        "  kata-vfio attach s1 /dev/vfio/1           the group's functions\n"
                        "  kata-vfio attach s1 0000:00:02.0          a function, bound if need "
                        "be\n"
                        "  kata-vfio attach s1 i915-GVTg_V4_8        a vGPU made for s1\n"
                        "  kata-vfio attach s1 vgpu:low_gm=128MB,resolution=1920x1200\n"
                        "  kata-vfio attach s1 i915-GVTg_V4_8 --dry-run\n");
    add_sandbox_id(attach);
    attach
        ->add_option("DEVICE", arguments_.device,
                     "/dev/vfio/N, BDF, UUID of a vGPU, or for a new one TYPE[@PARENT] or what it "
                     "must have: vgpu:KEY=VALUE,...")
        ->required();
    attach->add_option("--uuid", arguments_.uuid, "Of the vGPU to be made (default: random)");
    attach->add_flag("--keep", arguments_.keep, "The vGPU that is made stays when it is detached");
    attach->add_flag("--dry-run", arguments_.dry_run,
                     "Change nothing: print the steps and the QMP command");

    auto* detach = verb(app_, "detach", Verb::detach,
                        "Unplug a device and give back what attach made or bound",
                        "  kata-vfio detach s1 0000:00:02.0\n"
                        "  kata-vfio detach s1 bbc4aafe-5807-11e8-a43e-03533cceae7d\n");
    add_sandbox_id(detach);
    detach->add_option("DEVICE", arguments_.device, "Any name it has (kata-vfio list)")->required();

    auto* list = verb(app_, "list", Verb::list, "Sandboxes and what is attached to them",
                      "  kata-vfio list\n  kata-vfio list s1 --json\n");
    list->add_option("ID", arguments_.sandbox, "Only this sandbox");
    add_top();

    auto* reconcile = verb(app_, "reconcile", Verb::reconcile,
                           "Put right what processes and QEMUs that died have left behind",
                           "  kata-vfio reconcile --dry-run     only say what would be done\n"
                           "  kata-vfio reconcile               exit 4 if something is left over\n"
                           "  kata-vfio reconcile s1 --json\n");
    reconcile->add_option("ID", arguments_.sandbox, "Only this sandbox");
    reconcile->add_flag("--dry-run", arguments_.dry_run, "Change nothing: report");

    auto* trace = verb(app_, "trace", Verb::trace,
                       "What went over a sandbox's QMP connections, as a timeline",
                       "  kata-vfio trace s1\n"
                       "  kata-vfio trace s1 --device vfio-0000.00.02.0 --slow 50\n"
                       "  kata-vfio trace ./wire.log --html trace.html\n");
    trace->add_option("ID|FILE", arguments_.subject, "The sandbox, or a wire log of one")
        ->required();
    trace->add_option("--device", arguments_.device, "Only what concerns this QEMU device id");
    trace->add_option("--html", arguments_.html, "Write a page that draws it")->type_name("OUT");
    trace
        ->add_option("--slow", arguments_.slow_ms,
                     "An answer that took so many milliseconds stands out (default: 100)")
        ->type_name("MS")
        ->check(whole_number(0, 1000000000, "whole number of milliseconds"));
}

void Parser::add_top() {
    auto* top = verb(app_, "top", Verb::top,
                     "Sandboxes, devices, QMP times and capacity, again and again until Ctrl-C",
                     "  kata-vfio top\n  kata-vfio top --interval 10\n"
                     "  kata-vfio top --once --json       one look, for scripts\n");
    top->add_flag("--once", arguments_.once, "One look");
    top->add_option("--interval", arguments_.interval,
                    "Seconds between looks, 1 to 86400 (default: 2)")
        ->type_name("S")
        ->check(whole_number(1, 86400, "whole number of seconds"));
    top->add_option("--count", arguments_.count, "End after that many looks")
        ->type_name("N")
        ->check(whole_number(1, 1000000000, "whole number of looks"));
}

void Parser::add_sandbox_id(CLI::App* sub) {
    sub->add_option("ID", arguments_.sandbox, "The sandbox")->required();
}

void Parser::add_qmp_verbs() {
    auto* qmp = verb(app_, "qmp", Verb::qmp,
                     "Talk QMP to a sandbox's QEMU: one command, a shell, or a script on "
                     "standard input",
                     "  kata-vfio qmp s1\n"
                     "  kata-vfio qmp s1 query-status\n"
                     "  kata-vfio qmp s1 qom-get path=/machine property=type\n"
                     "  kata-vfio qmp --socket /run/vc/vm/s1/extra-monitor.sock query-pci\n");
    qmp->add_option("WORDS", arguments_.words,
                    "ID (not with --socket), then a command and KEY=VALUE ...")
        ->type_name("[ID] [COMMAND [KEY=VALUE ...]]");
    add_socket(qmp);
    qmp->add_flag("--raw", arguments_.raw, "Answers and events on one line each");

    auto* events = verb(app_, "events", Verb::events, "Show a sandbox's QMP events as they come",
                        "  kata-vfio events s1 --follow\n"
                        "  kata-vfio events s1 --match '^DEVICE_DELETED$' --timeout 30\n");
    events->add_option("ID", arguments_.sandbox, "The sandbox");
    add_socket(events);
    events->add_flag("--follow", arguments_.follow, "Not only one: until Ctrl-C, or QEMU ends");
    events->add_option("--match", arguments_.match, "Only events whose name has a match")
        ->type_name("REGEX");
    events->add_option("--count", arguments_.count, "End after that many")
        ->type_name("N")
        ->check(whole_number(1, 1000000000, "whole number of events"));
    events->add_option("--timeout", arguments_.timeout, "End after that many seconds")
        ->type_name("S")
        ->check(whole_number(0, 1000000000, "whole number of seconds"));
}

void Parser::add_socket(CLI::App* sub) {
    sub->add_option("--socket", arguments_.socket,
                    "Any QMP socket, QEMU's or a proxy's, instead of a sandbox's")
        ->type_name("PATH");
}

void Parser::add_config_verbs() {
    auto* config = family("config", "Check, change and show Kata's configuration",
                          "  kata-vfio config check\n"
                          "  kata-vfio config enable /etc/kata-containers/configuration.toml\n"
                          "  kata-vfio config show\n");
    const auto file = [this](CLI::App* sub) {
        sub->add_option("FILE", arguments_.subject,
                        "The configuration.toml (default: --config, then Kata's order)");
    };
    file(verb(*config, "check", Verb::config_check,
              "Everything wrong or doubtful in the configuration; exit 3 if it can't be used",
              "  kata-vfio config check\n  kata-vfio config check ./configuration.toml\n"));
    file(verb(*config, "enable", Verb::config_enable,
              "Set hotplug_vfio_on_root_bus = true, touching nothing else in the file",
              "  kata-vfio config enable "
              "/usr/share/defaults/kata-containers/configuration.toml\n"));
    auto* set_kernel = verb(*config, "set-kernel", Verb::config_set_kernel,
                            "Set the guest kernel, touching nothing else in the file",
                            "  kata-vfio config set-kernel "
                            "/usr/share/kata-containers/vmlinuz-intel-gpu.container\n");
    set_kernel
        ->add_option("KERNEL", arguments_.guest_kernel,
                     "The image that `kernel = ` is to name, an absolute path")
        ->required();
    file(set_kernel);
    file(verb(*config, "show", Verb::config_show,
              "The configuration in force, and where each value comes from",
              "  kata-vfio config show\n  kata-vfio config show --json\n"));
}

void Parser::add_xml_verbs() {
    auto* xml = family("xml", "Sandboxes and devices as libvirt's XML, and back",
                       "  kata-vfio xml export s1 > s1.xml\n"
                       "  kata-vfio xml import s1.xml > configuration.toml\n"
                       "  kata-vfio xml check s1\n");
    auto* out = verb(*xml, "export", Verb::xml_export,
                     "A sandbox as domain XML, or a device as node device XML",
                     "  kata-vfio xml export s1\n"
                     "  kata-vfio xml export --nodedev 0000:00:02.0\n");
    out->add_option("ID|DEVICE", arguments_.subject,
                    "The sandbox; with --nodedev a BDF or a vGPU's UUID")
        ->required();
    out->add_flag("--nodedev", arguments_.nodedev, "Node device XML of a device of this host");
    verb(*xml, "import", Verb::xml_import,
         "Such XML as a configuration and the attach commands for its devices",
         "  kata-vfio xml import s1.xml\n  virsh dumpxml s1 | kata-vfio xml import -\n")
        ->add_option("FILE", arguments_.subject, "Domain or node device XML; - is stdin")
        ->required();
    verb(*xml, "check", Verb::xml_check,
         "Have libvirt check it, and compare its -device with our device_add",
         "  kata-vfio xml check s1          exit 0 if valid and the same, else 4\n"
         "  kata-vfio xml check ./s1.xml\n")
        ->add_option("ID|FILE", arguments_.subject,
                     "The sandbox, or domain XML (with a slash or .xml in its name, or -)")
        ->required();
}

} // namespace kata_vfio::cli
