// SPDX-License-Identifier: Apache-2.0
//! `kata_vfio.h` 1.2, by hand. `layout` holds it against the header's fixed offsets when it is
//! compiled. A struct here may be shorter than the plugin's: `struct_size` says what we know.
use std::os::raw::{c_char, c_int, c_void};

pub const ABI_MAJOR: u16 = 1;
pub const ENTRY_SYMBOL: &[u8] = b"kata_vfio_entry\0";
pub const OK: i32 = 0;
pub const E_ABI_MISMATCH: i32 = 205;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub ptr: *const c_char,
    pub len: usize,
}

/// Handles: only ever seen by address.
#[repr(C)]
pub struct PluginHandle {
    _opaque: [u8; 0],
}
#[repr(C)]
pub struct SandboxHandle {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct Host {
    pub struct_size: u32,
    pub reserved: u32,
    pub user_data: *mut c_void,
    pub log: Option<unsafe extern "C" fn(*mut c_void, i32, Str)>,
    pub event: Option<unsafe extern "C" fn(*mut c_void, *const c_void)>,
}

#[repr(C)]
pub struct PluginOptions {
    pub struct_size: u32,
    pub flags: u32,
    pub config_path: Str,
    pub host_root: Str,
}

#[repr(C)]
pub struct Pair {
    pub key: Str,
    pub value: Str,
}

#[repr(C)]
pub struct SandboxOptions {
    pub struct_size: u32,
    pub reserved: u32,
    pub id: Str,
    pub qmp_socket: Str,
    pub annotations: *const Pair,
    pub annotation_count: usize,
    pub owner_pid: i64,
}

#[repr(C)]
pub struct Attach {
    pub struct_size: u32,
    pub flags: u32,
    pub device: Str,
    pub uuid: Str,
}

#[repr(C)]
pub struct Attachment {
    pub struct_size: u32,
    pub kind: u32,
    pub sandbox: Str,
    pub device: Str,
    pub id: Str,
    pub host_address: Str,
    pub uuid: Str,
    pub mdev_type: Str,
    pub sysfsdev: Str,
    pub guest_address: Str,
    pub iommu_group: i32,
    pub owned: u32,
}

/// Up to the last member that is used.
#[repr(C)]
pub struct CallResult {
    pub struct_size: u32,
    pub status: i32,
    pub ticket: u64,
    pub message: Str,
    pub action: Str,
    pub problem: Str,
    pub said: Str,
    pub blocker: Str,
    pub remedy: Str,
    pub sandbox: *mut SandboxHandle,
    pub attachments: *const *const Attachment,
    pub attachment_count: usize,
    pub sandboxes: *const *const c_void,
    pub sandbox_count: usize,
    pub json: Str,
}

pub type Callback = unsafe extern "C" fn(*mut c_void, *const CallResult);

#[repr(C)]
pub struct Call {
    pub struct_size: u32,
    pub reserved: u32,
    pub callback: Option<Callback>,
    pub user_data: *mut c_void,
    pub ticket: u64,
}

/// What 1.0 has, and `reconcile` behind it, which is there when `struct_size` says so.
#[repr(C)]
pub struct Entry {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub version: Str,
    pub plugin_open: unsafe extern "C" fn(
        *const Host,
        *const PluginOptions,
        *mut *mut PluginHandle,
        *mut c_char,
        usize,
    ) -> i32,
    pub plugin_close: unsafe extern "C" fn(*mut PluginHandle),
    pub sandbox_open:
        unsafe extern "C" fn(*mut PluginHandle, *const SandboxOptions, *mut Call) -> i32,
    pub sandbox_close: unsafe extern "C" fn(*mut SandboxHandle),
    pub sandbox_release: unsafe extern "C" fn(*mut PluginHandle, Str, *mut Call) -> i32,
    pub attach: unsafe extern "C" fn(*mut SandboxHandle, *const Attach, *mut Call) -> i32,
    pub detach: unsafe extern "C" fn(*mut SandboxHandle, Str, *mut Call) -> i32,
    pub list: unsafe extern "C" fn(*mut PluginHandle, Str, *mut Call) -> i32,
    pub cancel: unsafe extern "C" fn(*mut PluginHandle, u64),
    pub wait: unsafe extern "C" fn(*mut PluginHandle, u64, i64, *mut *mut CallResult) -> i32,
    pub result_free: unsafe extern "C" fn(*mut CallResult),
    pub status_name: unsafe extern "C" fn(i32) -> *const c_char,
}

pub type Reconcile = unsafe extern "C" fn(*mut PluginHandle, *const c_void, *mut Call) -> i32;

/// `entry.reconcile`, of a table that is long enough to have it.
///
/// # Safety
/// `entry` is the plugin's own table.
pub unsafe fn reconcile_of(entry: *const Entry) -> Option<Reconcile> {
    let at = std::mem::size_of::<Entry>();
    if ((*entry).struct_size as usize) < at + std::mem::size_of::<usize>() {
        return None;
    }
    *(entry as *const u8).add(at).cast::<Option<Reconcile>>()
}

extern "C" {
    pub fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    pub fn dlsym(library: *mut c_void, symbol: *const c_char) -> *mut c_void;
    pub fn dlerror() -> *const c_char;
}
pub const RTLD_NOW: c_int = 2;

/// On 64-bit Linux, as test/abi/layout.c has them for C.
mod layout {
    use super::*;
    use std::mem::size_of;

    macro_rules! sizes {
        ($($type:ty = $size:expr),* $(,)?) => {
            $(const _: [(); $size] = [(); size_of::<$type>()];)*
        };
    }
    sizes!(
        Str = 16,
        Host = 32,
        PluginOptions = 40,
        Pair = 32,
        SandboxOptions = 64,
        Attach = 40,
        Attachment = 144,
        CallResult = 168,
        Call = 32,
        Entry = 120,
    );
}
