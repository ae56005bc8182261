//! The doing: joins the leaves. `timeline` decides, the rest performs.

pub mod timeline;
