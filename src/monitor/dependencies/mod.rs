//! `/deps`: the installed dependencies of the app and their versions, as `npm ls --json --all`
//! shows them.
//!
//! They are read from the `package.json` files, found as Node finds packages: in `node_modules`
//! beside the dependent, and upwards. The tree is read breadth first, so a package has its own
//! dependencies where it is nearest to the app, and none everywhere else. Depth, size and time are
//! bounded; a tree that ends early says so.

mod cache;
mod manifest;
mod tree;

pub(super) use cache::DependencyCache;
pub(super) use tree::Package;
