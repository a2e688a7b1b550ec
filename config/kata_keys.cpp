// SPDX-License-Identifier: Apache-2.0
#include "config/kata_keys.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace kata_vfio::config {
namespace {

using namespace std::string_view_literals;

constexpr auto ports = "has no effect here: PCIe ports belong to q35, while devices go on the root "
                       "bus of the pc machine (hotplug_vfio_on_root_bus = true)"sv;

constexpr auto obsolete = std::to_array<ObsoleteKey>({
    {"hypervisor.qemu", "hot_plug_vfio", "\"no-port\"", ports},
    {"hypervisor.qemu", "cold_plug_vfio", "\"no-port\"",
     "has no effect here: devices are hot-plugged (hotplug_vfio_on_root_bus = true), never "
     "cold-plugged"},
    {"hypervisor.qemu", "pcie_root_port", "0", ports},
    {"hypervisor.qemu", "pcie_switch_port", "0", ports},
});

// clang-format off
constexpr auto hypervisor = std::to_array<std::string_view>({
    "asset_hash_type", "block_device_aio", "block_device_cache_direct",
    "block_device_cache_noflush", "block_device_cache_set", "block_device_discard_unmap",
    "block_device_driver", "block_device_logical_sector_size", "block_device_num_queues",
    "block_device_physical_sector_size", "block_device_queue_size", "confidential_guest",
    "ctlpath", "default_maxmemory", "disable_block_device_use",
    "disable_guest_selinux", "disable_image_nvdimm", "disable_nesting_checks", "disable_seccomp",
    "disable_selinux", "disable_vhost_net", "disk_rate_limiter_bw_max_rate",
    "disk_rate_limiter_bw_one_time_burst", "disk_rate_limiter_ops_max_rate",
    "disk_rate_limiter_ops_one_time_burst", "enable_guest_swap", "enable_hugepages",
    "enable_iommu_platform", "enable_iothreads", "enable_mem_prealloc", "enable_numa",
    "enable_swap", "enable_template", "enable_vcpus_pinning", "enable_vhost_user_store",
    "enable_virtio_mem", "entropy_source", "file_mem_backend", "firmware_volume",
    "guest_hook_path", "guest_memory_dump_paging", "guest_memory_dump_path",
    "guest_memory_slots", "guest_swap_create_threshold_secs", "guest_swap_path",
    "guest_swap_size_percent", "indep_iothreads", "initdata", "jailer_path",
    "kernel_verity_params", "measurement_algo", "mem_agent", "memory_offset", "msize_9p",
    "net_rate_limiter_bw_max_rate", "net_rate_limiter_bw_one_time_burst",
    "net_rate_limiter_ops_max_rate", "net_rate_limiter_ops_one_time_burst", "network_queues",
    "numa_mapping", "pflashes", "reclaim_guest_freed_memory",
    "remote_hypervisor_socket", "remote_hypervisor_timeout", "rootfs_type",
    "rx_rate_limiter_max_rate", "seccompsandbox", "selinux_label", "sev_snp_guest",
    "sgx_epc_size", "snp_guest_policy", "snp_id_auth", "snp_id_block",
    "tdx_quote_generation_service_socket_port", "tx_rate_limiter_max_rate", "use_legacy_serial",
    "valid_ctlpaths", "valid_entropy_sources", "valid_file_mem_backends", "valid_jailer_paths",
    "valid_vhost_user_store_paths", "valid_virtio_fs_daemon_paths",
    "vhost_user_reconnect_timeout_sec", "vhost_user_store_path",
    "virtio_fs_cache_size", "virtio_fs_inode_file_handles", "virtio_fs_is_dax",
    // tables below it, of runtime-rs 4.x
    "blockdev_info", "boot_info", "cpu_info", "debug_info", "device_info", "machine_info",
    "memory_info", "network_info", "security_info", "factory",
});

constexpr auto runtime = std::to_array<std::string_view>({
    "agent_name", "create_container_timeout", "dan_conf", "disable_guest_empty_dir",
    "disable_guest_seccomp", "disable_new_netns", "emptydir_mode", "enable_pprof",
    "enable_tracing", "enable_vcpus_pinning", "experimental", "experimental_force_guest_pull",
    "guest_selinux_label", "hypervisor_name", "internetworking_model", "jaeger_endpoint",
    "jaeger_password", "jaeger_user", "keep_abnormal", "kubelet_root_dir", "log_forwarder",
    "log_level", "name", "pod_resource_api_sock", "sandbox_bind_mounts",
    "shared_mounts", "static_sandbox_resource_mgmt", "use_passfd_io",
    "passfd_listener_port",
});

constexpr auto agent = std::to_array<std::string_view>({
    "cdh_api_timeout", "cdh_api_timeout_ms", "container_pipe_size", "debug_console_enabled",
    "debug_console_vport", "dial_timeout_ms", "enable_tracing", "health_check_timeout_ms",
    "image_request_timeout_ms", "launch_process_timeout", "log_level", "log_vport", "mem_agent",
    "mem_agent_enable", "policy", "reconnect_timeout_ms", "request_timeout_ms", "server_port",
    "trace_mode", "trace_type", "use_vsock",
});

constexpr auto hypervisors = std::to_array<std::string_view>({
    "acrn", "clh", "cloud-hypervisor", "dragonball", "firecracker", "nemu", "openvmm", "remote",
    "stratovirt",
});

constexpr auto top = std::to_array<std::string_view>({"factory", "image", "netmon", "proxy", "shim"});

// Kata's annotations named otherwise than the key in the file, or of no key at all.
constexpr auto annotations = std::to_array<std::string_view>({
    "cc_init_data", "container_pipe_size", "default_gpu_model", "default_gpus",
    "default_max_vcpus", "firmware_hash", "hypervisor_hash", "hypervisorctl_hash", "image_hash",
    "initrd_hash", "jailer_hash", "kernel_hash",
});
// clang-format on

std::span<const std::string_view> names_of(std::string_view table) noexcept {
    if (table.empty())
        return top;
    if (table == "hypervisor")
        return hypervisors;
    if (table == "hypervisor.qemu")
        return hypervisor;
    if (table == "runtime")
        return runtime;
    if (table == "agent.kata")
        return agent;
    return {};
}

} // namespace

std::span<const ObsoleteKey> obsolete_keys() noexcept {
    return obsolete;
}

const ObsoleteKey* find_obsolete(std::string_view table, std::string_view name) noexcept {
    const auto found = std::ranges::find_if(
        obsolete, [&](const auto& row) { return row.table == table && row.name == name; });
    return found == obsolete.end() ? nullptr : &*found;
}

bool is_kata_key(std::string_view table, std::string_view name) noexcept {
    const auto names = names_of(table);
    return std::ranges::find(names, name) != names.end();
}

bool is_kata_annotation(std::string_view name) noexcept {
    return is_kata_key("hypervisor.qemu", name) ||
           std::ranges::find(annotations, name) != annotations.end();
}

std::vector<std::string> kata_names(std::string_view table) {
    const auto names = names_of(table);
    std::vector<std::string> all(names.begin(), names.end());
    for (const auto& row : obsolete)
        if (row.table == table)
            all.emplace_back(row.name);
    return all;
}

} // namespace kata_vfio::config
