//! The command line `cluster2`. It runs as a process of its own, without Node, and owns nothing but that process.

/// Prints the version.
fn main() {
    println!("{}", env!("CARGO_PKG_VERSION"));
}
