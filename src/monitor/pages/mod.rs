//! The pages for people: the values that each template shows, and the assets that they load.

mod assets;
mod dependencies;
mod frame;
mod live;
mod logs;
mod overview;
mod rows;

pub(super) use assets::asset;
pub(super) use dependencies::DependenciesPage;
pub(super) use frame::{Frame, error_page, render};
pub(super) use live::LiveView;
pub(super) use logs::{LogPage, LogsPage};
pub(super) use overview::OverviewPage;
