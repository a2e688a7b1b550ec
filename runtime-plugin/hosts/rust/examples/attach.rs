// SPDX-License-Identifier: Apache-2.0
//! A complete host in Rust: loads libkata_vfio.so, opens a sandbox, attaches one device, prints its
//! guest address, lists, detaches, releases.
//!
//!     attach LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]
//!
//! Exit status: 0, or the hundred of the failure's status (docs/errors.md). Ctrl-C cancels what
//! runs, which undoes it.
use kata_vfio::{Cancel, Plugin, Result, Sandbox};
use std::sync::Arc;

/// SIGINT and SIGTERM as a cancel. Before any other thread: they must not take the signals.
fn cancel_on_signals() -> Arc<Cancel> {
    // The standard library has no signals, and a crate is not wanted here: glibc's sigset_t.
    type Set = [u64; 16];
    extern "C" {
        fn pthread_sigmask(how: i32, set: *const Set, earlier: *mut Set) -> i32;
        fn sigwait(set: *const Set, signal: *mut i32) -> i32;
    }
    const SIG_BLOCK: i32 = 0;
    let mut set: Set = [0; 16];
    for signal in [2, 15] {
        set[0] |= 1 << (signal - 1);
    }
    unsafe { pthread_sigmask(SIG_BLOCK, &set, std::ptr::null_mut()) };
    let cancel = Arc::new(Cancel::new());
    let told = cancel.clone();
    // Waits as long as the process lives.
    std::thread::spawn(move || {
        let mut signal = 0;
        unsafe { sigwait(&set, &mut signal) };
        told.cancel();
    });
    cancel
}

fn use_sandbox(
    plugin: &Plugin,
    sandbox: Sandbox,
    id: &str,
    device: &str,
    cancel: &Cancel,
) -> Result<()> {
    for attachment in sandbox.attach(device, Some(cancel))? {
        println!("{}", attachment.guest_address);
    }
    eprintln!("attached: {}", plugin.list(id)?.len());
    sandbox.detach(device, Some(cancel))?;
    Ok(())
}

fn attach(args: &[String]) -> Result<()> {
    let cancel = cancel_on_signals();
    let root = args.get(5).map_or("", String::as_str);
    let log = Box::new(|level: i32, line: &str| eprintln!("[{level}] {line}"));
    let plugin = Plugin::open(&args[0], &args[1], root, Some(log)).map_err(|error| {
        eprintln!("{error}");
        error
    })?;
    // Should this process die, reconcile gives back what it had. Of another root it can't be seen.
    let owner = root.is_empty().then(std::process::id);
    // One that can't be opened may be somebody else's: it is not released.
    let sandbox = plugin
        .open_sandbox(&args[2], &args[3], &[], owner, Some(&cancel))
        .map_err(|error| {
            eprintln!("{error}");
            error
        })?;
    let used = use_sandbox(&plugin, sandbox, &args[2], &args[4], &cancel);
    if let Err(error) = &used {
        eprintln!("{error}");
    }
    let released = plugin.release(&args[2]);
    if let Err(error) = &released {
        eprintln!("release: {error}");
    }
    used.and(released)
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.len() != 6 && args.len() != 7 {
        eprintln!(
            "usage: {} LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]",
            args[0]
        );
        std::process::exit(2);
    }
    if let Err(error) = attach(&args[1..]) {
        std::process::exit(if error.status == 0 { 1 } else { error.kind() });
    }
}
