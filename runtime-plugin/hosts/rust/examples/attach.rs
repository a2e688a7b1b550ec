// SPDX-License-Identifier: Apache-2.0
//! A complete host in Rust: loads libkata_vfio.so, opens a sandbox, attaches one device, prints its
//! guest address, lists, detaches, releases.
//!
//!     attach LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]
//!
//! Exit status: 0, or the hundred of the failure's status (docs/errors.md).
use kata_vfio::{Plugin, Result};

fn use_sandbox(plugin: &Plugin, id: &str, socket: &str, device: &str) -> Result<()> {
    let sandbox = plugin.open_sandbox(id, socket, &[], None)?;
    for attachment in sandbox.attach(device, None)? {
        println!("{}", attachment.guest_address);
    }
    eprintln!("attached: {}", plugin.list(id)?.len());
    sandbox.detach(device, None)?;
    Ok(())
}

fn attach(args: &[String]) -> Result<()> {
    let root = args.get(5).map_or("", String::as_str);
    let log = Box::new(|level: i32, line: &str| eprintln!("[{level}] {line}"));
    let plugin = Plugin::open(&args[0], &args[1], root, Some(log))?;
    let used = use_sandbox(&plugin, &args[2], &args[3], &args[4]);
    let released = plugin.release(&args[2]);
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
        eprintln!("{error}");
        std::process::exit(if error.status == 0 { 1 } else { error.kind() });
    }
}
