//! The tree of the app's dependencies.

use askama::Template;

use super::frame::Frame;
use crate::monitor::dependencies::Package;

#[derive(Template)]
#[template(path = "dependencies.html")]
pub(crate) struct DependenciesPage<'a> {
    frame: Frame<'a>,
    app: &'a Package,
    lines: Vec<TreeLine<'a>>,
}

/// A line of the tree.
enum TreeLine<'a> {
    /// `opens` says whether the package has dependencies of its own here, which follow.
    Package { name: &'a str, package: &'a Package, opens: bool },
    /// The end of a package's dependencies.
    End,
}

impl<'a> DependenciesPage<'a> {
    pub(crate) fn new(frame: Frame<'a>, app: &'a Package) -> Self {
        let mut lines = Vec::new();
        add_lines(app, &mut lines);
        Self { frame, app, lines }
    }
}

fn add_lines<'a>(package: &'a Package, lines: &mut Vec<TreeLine<'a>>) {
    for (name, package) in &package.dependencies {
        let opens = !package.dependencies.is_empty();
        lines.push(TreeLine::Package { name, package, opens });
        if opens {
            add_lines(package, lines);
            lines.push(TreeLine::End);
        }
    }
}
