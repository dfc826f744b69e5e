//! The words that every part shares. They know nothing of the parts.

pub mod action;
pub mod adopted;
pub mod cloud;
pub mod digest;
pub mod etcd;
pub mod event;
pub mod forward;
pub mod histogram;
pub mod ids;
pub mod leader;
pub mod maintenance;
pub mod persisted;
pub mod plain;
pub mod plural;
pub mod role;
pub mod secret;
pub mod settings;
pub(crate) mod step;
pub mod tag;
pub mod time;
pub(crate) mod timer;
pub mod vrrp;
