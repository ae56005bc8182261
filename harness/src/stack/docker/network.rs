//! A network of the run's own, with its own subnet, so that every component has a fixed address.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use rand::Rng;

use super::{Engine, EngineError, RUN_LABEL};

/// How many subnets are tried.
const ATTEMPTS: usize = 20;
/// The first component's last octet; the gateway is 1.
const FIRST_HOST: u8 = 10;

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::stack) struct Network {
    pub(in crate::stack) name: String,
    /// Where containers reach the harness.
    pub(in crate::stack) gateway: Ipv4Addr,
}

impl Network {
    /// The address of the `index`-th component.
    pub(in crate::stack) fn address(&self, index: usize) -> Option<Ipv4Addr> {
        let [a, b, c, _] = self.gateway.octets();
        let host = u8::try_from(index).ok()?.checked_add(FIRST_HOST)?;
        (host < 255).then(|| Ipv4Addr::new(a, b, c, host))
    }
}

impl Engine {
    /// Creates a bridge network on a private subnet that nothing here uses. What is published is bound to loopback.
    pub(in crate::stack) async fn create_network(&self, name: &str, run: &str) -> Result<Network, EngineError> {
        let mut refused = None;
        for _ in 0..ATTEMPTS {
            let (b, c) = (rand::rng().random_range(201..=239), rand::rng().random::<u8>());
            let gateway = Ipv4Addr::new(10, b, c, 1);
            let created = self.docker.create_network(request(name, run, gateway));
            match self.bounded(&format!("create network {name}"), created).await {
                Ok(_) => return Ok(Network { name: name.to_owned(), gateway }),
                Err(error) if error.to_string().contains("overlap") => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refused.expect("there was at least one attempt"))
    }

    /// Removes it; one that is gone is fine.
    pub(in crate::stack) async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        match self.bounded(&format!("remove network {name}"), self.docker.remove_network(name)).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }
}

fn request(name: &str, run: &str, gateway: Ipv4Addr) -> NetworkCreateRequest {
    let [a, b, c, _] = gateway.octets();
    let config = IpamConfig {
        subnet: Some(format!("{a}.{b}.{c}.0/24")),
        gateway: Some(gateway.to_string()),
        ..Default::default()
    };
    let loopback = ("com.docker.network.bridge.host_binding_ipv4".to_owned(), Ipv4Addr::LOCALHOST.to_string());
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam { config: Some(vec![config]), ..Default::default() }),
        options: Some(HashMap::from([loopback])),
        labels: Some(HashMap::from([(RUN_LABEL.to_owned(), run.to_owned())])),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_get_addresses_above_the_gateway_until_there_are_none() {
        let network = Network { name: "n".to_owned(), gateway: Ipv4Addr::new(10, 201, 7, 1) };
        assert_eq!(network.address(0), Some(Ipv4Addr::new(10, 201, 7, 10)));
        assert_eq!(network.address(244), Some(Ipv4Addr::new(10, 201, 7, 254)));
        assert_eq!(network.address(245), None);
    }
}
