//! Accepts connections and hands each one to a worker, on a thread of its own.

mod assignment;
pub mod event_loop;
mod lanes;
pub mod link;
pub mod listeners;
mod membership;
mod unserved;
mod wait_queues;

#[cfg(test)]
mod tests;
