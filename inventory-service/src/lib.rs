//! The InventoryService: a small service, observable as a production one should be, because its observability is what drills
//! judge. It knows nothing of whoever drills it.
//!
//! ```text
//! main ─► config ─► Service::start ─► serve ─► http ─► cache ─► store
//!                        │                      │        └──────┴──► telemetry (metrics, logs)
//!                        └─► admin (/metrics /live /ready /catalogue /faults)
//! ```
//!
//! * [`inventory`] is the domain, [`store`] and [`cache`] keep it, [`http`] offers it, [`endpoint`] is the table of the API.
//! * [`telemetry`] is everything it says; [`admin`] is where others ask.
//! * [`fault`] and [`sabotage`] break it on purpose, and only when allowed.

pub mod admin;
pub mod cache;
pub mod clock;
pub mod config;
pub mod endpoint;
pub mod fault;
pub mod http;
pub mod inventory;
pub mod readiness;
pub mod sabotage;
pub mod serve;
pub mod service;
pub mod store;
pub mod telemetry;

pub use config::Settings;
pub use service::Service;
