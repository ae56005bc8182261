//! The doing: joins the leaves. `timeline` decides, the rest performs.

pub mod actuate;
pub mod count;
pub mod drill;
pub mod gate;
pub mod gather;
pub mod hold;
pub mod observe;
pub mod record;
pub mod seed;
pub mod show;
pub mod sink;
pub mod stage;
pub mod suite;
pub mod timeline;
pub mod windows;
