// SPDX-License-Identifier: Apache-2.0
//! libkata_vfio.so for a host in Rust: hot-plugs vfio and mdev devices into the root bus of a
//! sandbox's QEMU. Calls wait, and may be made from every thread, also at once; a [`Cancel`] ends
//! them from another one. Attachments outlive the handles and the process: [`Plugin::release`] gives
//! them back.
#![warn(missing_docs)]
// An Error is made where something went wrong, not where time counts.
#![allow(clippy::result_large_err)]

mod ffi;
mod library;

use library::{call, text, view, Library, Outcome};
use std::os::raw::c_void;
use std::sync::Mutex;

/// A call that failed. The parts may be empty.
#[derive(Clone, Debug, Default)]
pub struct Error {
    /// `KATA_VFIO_E_*`; 0 for a failure of this crate's own, such as a library that is not there.
    pub status: i32,
    /// The status's stable name (docs/errors.md).
    pub name: String,
    /// The whole text.
    pub message: String,
    /// What is wrong.
    pub problem: String,
    /// The kernel's or QEMU's own words.
    pub said: String,
    /// Who blocks it.
    pub blocker: String,
    /// What to do.
    pub remedy: String,
}

/// What each call gives.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn host(message: &str) -> Error {
        Error {
            message: message.to_string(),
            ..Error::default()
        }
    }

    /// The hundred of the status, by which a host goes that does not know the number.
    pub fn kind(&self) -> i32 {
        self.status / 100
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.name.is_empty(), self.message.is_empty()) {
            (true, _) => f.write_str(&self.message),
            (_, true) => f.write_str(&self.name),
            _ => write!(f, "{}: {}", self.name, self.message),
        }
    }
}

impl std::error::Error for Error {}

/// One device in one sandbox.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// As it was asked for.
    pub device: String,
    /// QEMU's name of it.
    pub id: String,
    /// BDF of the function, or of the vGPU's parent.
    pub host_address: String,
    /// Of a vGPU.
    pub uuid: String,
    /// `0000:00:0f.0`; empty while it waits for the guest's start.
    pub guest_address: String,
    /// -1: not known.
    pub iommu_group: i32,
}

/// Has each line of the plugin's log, on a thread of the plugin: it must return soon.
pub type Log = Box<dyn Fn(i32, &str) + Send + Sync>;

unsafe extern "C" fn on_log(user_data: *mut c_void, level: i32, line: ffi::Str) {
    let line = text(line);
    // A panic may not cross into C.
    let _ = std::panic::catch_unwind(|| (*user_data.cast::<Log>())(level, &line));
}

/// The library with its configuration read and its threads running. Its end cancels what runs;
/// sandboxes borrow it, so they end first.
pub struct Plugin {
    library: Library,
    handle: *mut ffi::PluginHandle,
    log: *mut Log,
}

// Every function that is called with the handle is [any-thread].
unsafe impl Send for Plugin {}
unsafe impl Sync for Plugin {}

impl Plugin {
    /// `config` empty: where Kata has its configuration.toml. `host_root` empty: "/".
    pub fn open(library: &str, config: &str, host_root: &str, log: Option<Log>) -> Result<Plugin> {
        let library = Library::load(library)?;
        let given = log.is_some();
        let log = log.map_or(std::ptr::null_mut(), |log| Box::into_raw(Box::new(log)));
        let host = ffi::Host {
            struct_size: std::mem::size_of::<ffi::Host>() as u32,
            reserved: 0,
            user_data: log.cast(),
            log: given.then_some(on_log as unsafe extern "C" fn(_, _, _)),
            event: None,
        };
        let options = ffi::PluginOptions {
            struct_size: std::mem::size_of::<ffi::PluginOptions>() as u32,
            flags: 0,
            config_path: view(config),
            host_root: view(host_root),
        };
        let mut plugin = Plugin {
            library,
            handle: std::ptr::null_mut(),
            log,
        };
        let mut said = [0u8; 1024];
        // What it gets it has copied when it returns, but for `log`, which we keep.
        let status = unsafe {
            (library.table().plugin_open)(
                &host,
                &options,
                &mut plugin.handle,
                said.as_mut_ptr().cast(),
                said.len(),
            )
        };
        if status != ffi::OK {
            let end = said.iter().position(|byte| *byte == 0).unwrap_or(0);
            let message = String::from_utf8_lossy(&said[..end]).into_owned();
            return Err(library.failure(status, message)); // plugin's drop frees the log
        }
        Ok(plugin)
    }

    /// Enforces policy, connects to the sandbox's QEMU and remembers it. `qmp_socket` empty: a
    /// sandbox that was opened before, as it is remembered. `owner_pid`: the process whose end is the
    /// sandbox's, most often `std::process::id()`.
    pub fn open_sandbox(
        &self,
        id: &str,
        qmp_socket: &str,
        annotations: &[(&str, &str)],
        owner_pid: Option<u32>,
        cancel: Option<&Cancel>,
    ) -> Result<Sandbox<'_>> {
        let pairs: Vec<ffi::Pair> = annotations
            .iter()
            .map(|(key, value)| ffi::Pair {
                key: view(key),
                value: view(value),
            })
            .collect();
        let options = ffi::SandboxOptions {
            struct_size: std::mem::size_of::<ffi::SandboxOptions>() as u32,
            reserved: 0,
            id: view(id),
            qmp_socket: view(qmp_socket),
            annotations: pairs.as_ptr(),
            annotation_count: pairs.len(),
            owner_pid: owner_pid.map_or(0, i64::from),
        };
        let outcome = self.call(cancel, |call| unsafe {
            (self.library.table().sandbox_open)(self.handle, &options, call)
        })?;
        Ok(Sandbox {
            plugin: self,
            handle: outcome.sandbox,
        })
    }

    /// Gives back all that the sandbox has and forgets it. QEMU need not live.
    pub fn release(&self, id: &str) -> Result<()> {
        self.call(None, |call| unsafe {
            (self.library.table().sandbox_release)(self.handle, view(id), call)
        })
        .map(|_| ())
    }

    /// What is attached to a sandbox, or to all when `id` is empty. Reads files only.
    pub fn list(&self, id: &str) -> Result<Vec<Attachment>> {
        self.call(None, |call| unsafe {
            (self.library.table().list)(self.handle, view(id), call)
        })
        .map(|outcome| outcome.attachments)
    }

    /// Puts right what processes that died have left, and returns the report (docs/json.md).
    pub fn reconcile(&self) -> Result<String> {
        let reconcile = self
            .library
            .reconcile()
            .ok_or_else(|| self.library.failure(ffi::E_ABI_MISMATCH, String::new()))?;
        self.call(None, |call| unsafe {
            reconcile(self.handle, std::ptr::null(), call)
        })
        .map(|outcome| outcome.json)
    }

    fn call(
        &self,
        cancel: Option<&Cancel>,
        submit: impl FnOnce(*mut ffi::Call) -> i32,
    ) -> Result<Outcome> {
        let started = |ticket| {
            if let Some(cancel) = cancel {
                cancel.begin(self, ticket);
            }
        };
        let ended = call(self.library, started, submit);
        if let Some(cancel) = cancel {
            cancel.end();
        }
        ended
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // After it nothing calls back, so the log can go. NULL is allowed.
        unsafe { (self.library.table().plugin_close)(self.handle) };
        if !self.log.is_null() {
            drop(unsafe { Box::from_raw(self.log) });
        }
    }
}

/// An open sandbox. Its end lets go of the connection; attachments stay.
pub struct Sandbox<'plugin> {
    plugin: &'plugin Plugin,
    handle: *mut ffi::SandboxHandle,
}

unsafe impl Send for Sandbox<'_> {}
unsafe impl Sync for Sandbox<'_> {}

impl Sandbox<'_> {
    /// Plugs a device: `/dev/vfio/N`, a BDF, a UUID, or `TYPE[@PARENT]` for a vGPU to be made. A
    /// group gives several attachments, all or none.
    pub fn attach(&self, device: &str, cancel: Option<&Cancel>) -> Result<Vec<Attachment>> {
        let request = ffi::Attach {
            struct_size: std::mem::size_of::<ffi::Attach>() as u32,
            flags: 0,
            device: view(device),
            uuid: view(""),
        };
        self.plugin
            .call(cancel, |call| unsafe {
                (self.plugin.library.table().attach)(self.handle, &request, call)
            })
            .map(|outcome| outcome.attachments)
    }

    /// Unplugs a device, by any name it has, and gives back what `attach` made or bound.
    pub fn detach(&self, device: &str, cancel: Option<&Cancel>) -> Result<Vec<Attachment>> {
        self.plugin
            .call(cancel, |call| unsafe {
                (self.plugin.library.table().detach)(self.handle, view(device), call)
            })
            .map(|outcome| outcome.attachments)
    }
}

impl Drop for Sandbox<'_> {
    fn drop(&mut self) {
        unsafe { (self.plugin.library.table().sandbox_close)(self.handle) };
    }
}

/// Ends one call at a time from another thread. The call then undoes what it did and fails with
/// `cancelled`, or succeeds when it was past undoing.
#[derive(Default)]
pub struct Cancel {
    state: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    asked: bool,
    call: Option<(Library, usize, u64)>,
}

impl Cancel {
    /// A new one, which has cancelled nothing yet.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Cancels the call under way, and each that is made with this from now on.
    pub fn cancel(&self) {
        let mut state = self.state.lock().unwrap_or_else(|held| held.into_inner());
        state.asked = true;
        state.tell();
    }

    fn begin(&self, plugin: &Plugin, ticket: u64) {
        let mut state = self.state.lock().unwrap_or_else(|held| held.into_inner());
        state.call = Some((plugin.library, plugin.handle as usize, ticket));
        if state.asked {
            state.tell();
        }
    }

    fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(|held| held.into_inner());
        state.call = None;
    }
}

impl Running {
    /// Under the lock, so that the plugin is still open: its call has not returned to the borrower.
    fn tell(&self) {
        if let Some((library, plugin, ticket)) = self.call {
            unsafe { (library.table().cancel)(plugin as *mut ffi::PluginHandle, ticket) };
        }
    }
}
