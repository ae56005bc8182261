//! What one scenario's stack is given: ports, folders, secrets; and what every placeholder is worth with them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use super::prepare::Prepared;
use crate::stack::docker::{EngineError, Network};
use crate::stack::journal::{Entry, JournalError};
use crate::stack::place::private_folder;
use crate::stack::port::{PortLease, claim, lease};
use crate::stack::select::Selection;
use crate::stack::session::Session;
use crate::stack::spec::{Component, Placeholder, Template};

/// Where a container sees its data folder.
pub(super) const DATA: &str = "/data";
/// Where a container sees its config.
pub(super) const CONFIG: &str = "/config";

/// A generated secret. Never shown by `Debug`; [`Allocation::redact`] takes it out of text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    fn generate() -> Self {
        let bytes: [u8; 16] = rand::random();
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Takes secrets out of text.
#[derive(Clone, Debug)]
pub struct Redactor(Vec<Secret>);

impl Redactor {
    /// `text` without any of the secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.reveal(), "[redacted]"))
    }
}

/// Who will read a text, which decides how an address in it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader<'a> {
    /// The harness itself.
    Harness,
    /// A component, which may have to go through a proxy.
    Component(&'a str),
}

/// What a stack in containers is given on top.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    pub(super) network: Network,
    pub(super) addresses: BTreeMap<String, Ipv4Addr>,
}

/// Why a stack could not be given what it needs.
#[derive(Debug, thiserror::Error)]
pub enum AllocationError {
    /// No port.
    #[error("find a port for {component}:{port}: {source}")]
    Port {
        /// The component.
        component: String,
        /// Its port.
        port: String,
        /// Why.
        source: io::Error,
    },
    /// No folder.
    #[error("create {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No network.
    #[error(transparent)]
    Network(#[from] EngineError),
    /// It could not be journalled, so it was not created.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A placeholder without a value.
    #[error("fill in `{placeholder}` for {component}: {why}")]
    Placeholder {
        /// The component whose text it stands in.
        component: String,
        /// As written.
        placeholder: String,
        /// Why it has no value.
        why: &'static str,
    },
}

/// What one scenario's stack is given. Ports are held until it is dropped.
#[derive(Debug)]
pub struct Allocation {
    pub(super) prepared: Arc<Prepared>,
    pub(super) selection: Selection,
    pub(super) part: String,
    ports: BTreeMap<String, BTreeMap<String, PortLease>>,
    folders: BTreeMap<String, PathBuf>,
    secrets: BTreeMap<String, Secret>,
    configs: BTreeMap<String, PathBuf>,
    routes: BTreeMap<(String, String, String), SocketAddr>,
    inside: Option<Inside>,
    pub(super) extra_arguments: BTreeMap<String, Vec<String>>,
}

impl Allocation {
    /// Takes ports, creates data folders and secrets for `scenario`, a name that is unique in the run and fit for a path.
    ///
    /// # Errors
    /// When there is no port or a folder cannot be created.
    pub fn new(
        session: &Session,
        prepared: Arc<Prepared>,
        selection: Selection,
        scenario: &str,
    ) -> Result<Self, AllocationError> {
        let home = session.folder().join(scenario);
        let mut allocation = Self {
            part: format!("{}/{scenario}", session.run()),
            ports: BTreeMap::new(),
            folders: BTreeMap::new(),
            secrets: BTreeMap::new(),
            configs: BTreeMap::new(),
            routes: BTreeMap::new(),
            inside: None,
            extra_arguments: BTreeMap::new(),
            prepared,
            selection,
        };
        private(&home)?;
        let components: Vec<String> = allocation.selection.components.keys().cloned().collect();
        for component in components {
            let folder = home.join(&component);
            private(&folder.join("data"))?;
            private(&folder)?;
            allocation.folders.insert(component.clone(), folder);
            allocation.take_ports(&component)?;
            allocation.generate_secrets(&component);
        }
        Ok(allocation)
    }

    /// The same, and in containers a network of the scenario's own. [`Allocation::new`] does for local processes only.
    ///
    /// # Errors
    /// When there is no port, or a folder or the network cannot be created.
    pub async fn create(
        session: &Session,
        prepared: Arc<Prepared>,
        selection: Selection,
        scenario: &str,
    ) -> Result<Self, AllocationError> {
        let engine = prepared.engine.clone();
        let mut allocation = Self::new(session, prepared, selection, scenario)?;
        let Some(engine) = engine else { return Ok(allocation) };
        let name = format!("harness-{}-{scenario}", session.run());
        session.record(&Entry::Network(name.clone()))?;
        let network = engine.create_network(&name, session.run()).await?;
        let numbered = allocation.selection.components.keys().enumerate();
        let addresses = numbered.filter_map(|(index, component)| Some((component.clone(), network.address(index)?)));
        allocation.inside = Some(Inside { addresses: addresses.collect(), network });
        Ok(allocation)
    }

    /// Where components reach what the harness itself listens on: bind inboxes and proxies there, never to 0.0.0.0.
    #[must_use]
    pub fn harness_address(&self) -> Ipv4Addr {
        self.inside.as_ref().map_or(Ipv4Addr::LOCALHOST, |inside| inside.network.gateway)
    }

    pub(super) fn inside(&self) -> Option<&Inside> {
        self.inside.as_ref()
    }

    fn take_ports(&mut self, component: &str) -> Result<(), AllocationError> {
        let spec = Arc::clone(&self.prepared.spec);
        for port in spec.components[component].ports.keys() {
            let failed = |source| AllocationError::Port { component: component.to_owned(), port: port.clone(), source };
            let published = spec.components[component].publish.get(port);
            let lease = published.map_or_else(lease, |number| claim(*number)).map_err(failed)?;
            self.ports.entry(component.to_owned()).or_default().insert(port.clone(), lease);
        }
        Ok(())
    }

    fn generate_secrets(&mut self, component: &str) {
        let spec = Arc::clone(&self.prepared.spec);
        let part = &spec.components[component];
        for hole in texts(part).flat_map(Template::placeholders) {
            if let Placeholder::Secret(name) = hole {
                self.secrets.entry(name.clone()).or_insert_with(Secret::generate);
            }
        }
    }

    /// The stack's folder, if a component's texts name it.
    pub(super) fn stack_mount(&self, component: &str) -> Option<&Path> {
        let part = self.prepared.spec.components.get(component)?;
        let named = texts(part).flat_map(Template::placeholders).any(|hole| *hole == Placeholder::Stack);
        named.then_some(self.prepared.spec.folder.as_path())
    }

    /// The components that will run.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.selection.components.keys().map(String::as_str)
    }

    /// What it was made from.
    #[must_use]
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Where the harness reaches a component's port, given by name or number; none for a component that does not run.
    #[must_use]
    pub fn address(&self, component: &str, port: &str) -> Option<SocketAddr> {
        let (name, _) = self.prepared.spec.port(component, port)?;
        Some(self.ports.get(component)?.get(name)?.address())
    }

    /// Where `reader` reaches a component's port: through a route where one was set.
    #[must_use]
    pub fn address_for(&self, reader: Reader<'_>, component: &str, port: &str) -> Option<SocketAddr> {
        let (name, number) = self.prepared.spec.port(component, port)?;
        let Reader::Component(from) = reader else { return self.address(component, name) };
        let route = self.routes.get(&(from.to_owned(), component.to_owned(), name.to_owned()));
        let direct = || match &self.inside {
            Some(inside) => Some((*inside.addresses.get(component)?, number).into()),
            None => self.address(component, name),
        };
        route.copied().or_else(direct)
    }

    /// All addresses of a component, as the harness reaches them.
    #[must_use]
    pub fn addresses(&self, component: &str) -> BTreeMap<String, String> {
        let ports = self.ports.get(component).into_iter().flatten();
        ports.map(|(name, lease)| (name.clone(), lease.address().to_string())).collect()
    }

    /// Sends what `from` says to `to`'s port through `address`, a proxy of the harness. Before anything starts.
    pub fn route(&mut self, from: &str, to: &str, port: &str, address: SocketAddr) {
        if let Some((name, _)) = self.prepared.spec.port(to, port) {
            self.routes.insert((from.to_owned(), to.to_owned(), name.to_owned()), address);
        }
    }

    /// Says which config a component gets as `{config}`. Before it starts; without it, the user's own file.
    pub fn set_config(&mut self, component: &str, path: PathBuf) {
        self.configs.insert(component.to_owned(), path);
    }

    /// More arguments for a component, after its own. Before it starts.
    pub fn add_arguments(&mut self, component: &str, arguments: impl IntoIterator<Item = String>) {
        self.extra_arguments.entry(component.to_owned()).or_default().extend(arguments);
    }

    /// A component's data folder.
    #[must_use]
    pub fn data(&self, component: &str) -> Option<PathBuf> {
        self.folders.get(component).map(|folder| folder.join("data"))
    }

    /// The folder a component is started in, its home and the place of its temporary files; the data folder is in it.
    pub(super) fn folder(&self, component: &str) -> Option<&Path> {
        self.folders.get(component).map(PathBuf::as_path)
    }

    /// A secret by its name in the stack file.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)
    }

    /// `text` without any of the secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.redactor().redact(text)
    }

    /// What takes the secrets out of text, to be kept for later.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        Redactor(self.secrets.values().cloned().collect())
    }

    /// A text of the harness's own, such as the service's base URL.
    ///
    /// # Errors
    /// When a placeholder has no value.
    pub fn render(&self, text: &Template) -> Result<String, AllocationError> {
        self.render_in(Reader::Harness, None, text)
    }

    /// A text that stands in `component`'s table and is read by the harness: readiness, switches.
    ///
    /// # Errors
    /// When a placeholder has no value.
    pub fn render_for(&self, component: &str, text: &Template) -> Result<String, AllocationError> {
        self.render_in(Reader::Harness, Some(component), text)
    }

    /// A text that stands in `component`'s table and is read by `component`: its command and environment.
    pub(super) fn render_within(&self, component: &str, text: &Template) -> Result<String, AllocationError> {
        self.render_in(Reader::Component(component), Some(component), text)
    }

    fn render_in(&self, reader: Reader<'_>, owner: Option<&str>, text: &Template) -> Result<String, AllocationError> {
        text.render(|hole| self.worth(reader, owner, hole)).map_err(|hole| AllocationError::Placeholder {
            component: owner.unwrap_or("the harness").to_owned(),
            placeholder: hole.to_string(),
            why: match hole {
                Placeholder::Address { .. } => "that component does not run in this stack",
                Placeholder::Value(_) => "nothing gives it a value here",
                _ => "it has a value only inside a component",
            },
        })
    }

    fn worth(&self, reader: Reader<'_>, owner: Option<&str>, hole: &Placeholder) -> Option<String> {
        let own = |port: &str| self.address(owner?, port);
        Some(match hole {
            Placeholder::Address { component, port } => self.address_for(reader, component, port)?.to_string(),
            Placeholder::Own(port) => own(port)?.to_string(),
            Placeholder::Listen(port) => format!("{}:{}", self.listen_host(), self.listen_port(owner?, port)?),
            Placeholder::ListenHost => self.listen_host().to_string(),
            Placeholder::ListenPort(port) => self.listen_port(owner?, port)?.to_string(),
            Placeholder::Data if self.inside.is_some() && reader != Reader::Harness => DATA.to_owned(),
            Placeholder::Data => self.data(owner?)?.to_str()?.to_owned(),
            Placeholder::Config if self.inside.is_some() => match self.config_mount(owner?)? {
                (_, Some(file)) => format!("{CONFIG}/{file}"),
                (_, None) => CONFIG.to_owned(),
            },
            Placeholder::Config => self.config(owner?)?.to_str()?.to_owned(),
            // a container that asks for it sees it at the same place
            Placeholder::Stack => self.prepared.spec.folder.to_str()?.to_owned(),
            Placeholder::Secret(name) => self.secrets.get(name)?.reveal().to_owned(),
            Placeholder::Harness => self.prepared.harness.to_str()?.to_owned(),
            Placeholder::Value(_) => return None,
        })
    }

    /// Loopback; in a container every interface, since that is the container's own network.
    fn listen_host(&self) -> Ipv4Addr {
        if self.inside.is_some() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST }
    }

    fn listen_port(&self, component: &str, port: &str) -> Option<u16> {
        let (name, number) = self.prepared.spec.port(component, port)?;
        if self.inside.is_some() { Some(number) } else { self.address(component, name).map(|address| address.port()) }
    }

    /// Where the harness reaches each port of a component, by the port's number in the container.
    pub(super) fn published(&self, component: &str) -> Vec<(u16, SocketAddr)> {
        let ports = &self.prepared.spec.components[component].ports;
        ports.iter().filter_map(|(name, number)| Some((*number, self.address(component, name)?))).collect()
    }

    /// The config that was written for a component, else the user's own.
    pub(super) fn written_config(&self, component: &str) -> Option<PathBuf> {
        let own = || {
            let config = self.prepared.spec.components.get(component)?.config.as_ref()?;
            Some(self.prepared.spec.folder.join(config.get_ref()))
        };
        self.configs.get(component).cloned().or_else(own)
    }
}

/// What a component is started with, as written.
fn texts(part: &Component) -> impl Iterator<Item = &Template> {
    let own = part.env.values().chain(&part.command).chain(&part.args).chain(part.init.iter().flatten());
    own.chain(part.variants.values().flat_map(|variant| variant.env.values().chain(&variant.args)))
}

fn private(path: &Path) -> Result<(), AllocationError> {
    private_folder(path).map_err(|source| AllocationError::Folder { path: path.to_path_buf(), source })
}
