//! The routing tree, with inheritance applied, and the way of an alert through it. Fed by `alertmanager`; read by
//! `plan::bound`, notification expectations and routing checks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::source::{ConfigError, SourceFile};
use super::super::yaml::Node;
use super::matcher::{self, Matcher};
use super::{DEFAULT_GROUP_INTERVAL, DEFAULT_GROUP_WAIT, DEFAULT_REPEAT_INTERVAL, Receiver};
use crate::source::Location;

/// A node of the routing tree; what it does not say is inherited already.
#[derive(Clone, Debug)]
pub struct Route {
    /// What an alert must match to come here.
    pub matchers: Vec<Matcher>,
    /// Whether later siblings are tried after a match.
    pub continues: Continue,
    /// Where alerts that stay here go, and how they are grouped.
    pub target: ResolvedRoute,
    /// Children in order.
    pub routes: Vec<Self>,
}

/// Whether an alert that matched goes on to later siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continue {
    /// `continue: true`
    Yes,
    /// The default.
    No,
}

/// How a route groups and sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedRoute {
    /// The receiver's name.
    pub receiver: String,
    /// Labels that make a group.
    pub group_by: GroupBy,
    /// Wait before the first notification of a group.
    pub group_wait: Duration,
    /// Time between looks at a group that exists.
    pub group_interval: Duration,
    /// Time after which an unchanged group is sent again.
    pub repeat_interval: Duration,
    /// Names of intervals in which it is muted.
    pub muted_in: Vec<String>,
    /// Names of intervals in which alone it is active.
    pub active_in: Vec<String>,
    /// Its place in the tree, for example `route.routes[1]`.
    pub path: String,
    /// Where it stands.
    pub location: Location,
}

/// What makes a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// `['...']`: each label set on its own.
    All,
    /// These labels; none puts everything in one group.
    Labels(Vec<String>),
}

impl ResolvedRoute {
    /// The labels of the group an alert belongs to.
    #[must_use]
    pub fn group_labels(&self, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => {
                names.iter().filter_map(|name| labels.get(name).map(|value| (name.clone(), value.clone()))).collect()
            }
        }
    }
}

impl Route {
    /// The routes an alert takes.
    #[must_use]
    pub fn resolve(&self, labels: &BTreeMap<String, String>) -> Vec<ResolvedRoute> {
        if !self.matchers.iter().all(|matcher| matcher.matches(labels)) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for child in &self.routes {
            let taken = child.resolve(labels);
            let stops = !taken.is_empty() && child.continues == Continue::No;
            found.extend(taken);
            if stops {
                break;
            }
        }
        if found.is_empty() {
            found.push(self.target.clone());
        }
        found
    }

    /// Every node of the tree, parents first.
    pub fn nodes(&self) -> Vec<&Self> {
        let mut found = vec![self];
        self.routes.iter().for_each(|child| found.extend(child.nodes()));
        found
    }
}

pub(super) fn parse_root(file: &SourceFile, node: &Node, receivers: &[Receiver]) -> Result<Route, ConfigError> {
    if node.get("receiver").is_none() {
        return Err(file.error(node, "the root route needs a `receiver`"));
    }
    let defaults = ResolvedRoute {
        receiver: String::new(),
        group_by: GroupBy::Labels(Vec::new()),
        group_wait: DEFAULT_GROUP_WAIT,
        group_interval: DEFAULT_GROUP_INTERVAL,
        repeat_interval: DEFAULT_REPEAT_INTERVAL,
        muted_in: Vec::new(),
        active_in: Vec::new(),
        path: "route".to_owned(),
        location: file.location(node),
    };
    parse(file, node, &defaults, "route".to_owned(), receivers)
}

fn parse(
    file: &SourceFile,
    node: &Node,
    parent: &ResolvedRoute,
    path: String,
    receivers: &[Receiver],
) -> Result<Route, ConfigError> {
    let receiver = file.text_of(node, "receiver")?.unwrap_or_else(|| parent.receiver.clone());
    if !receivers.iter().any(|known| known.name == receiver) {
        let named = node.get("receiver").unwrap_or(node);
        return Err(file.error(named, format!("the receiver `{receiver}` is not among `receivers`")));
    }
    let group_interval = file.duration_of(node, "group_interval")?.unwrap_or(parent.group_interval);
    if group_interval.is_zero() {
        return Err(file.error(node.get("group_interval").unwrap_or(node), "`group_interval` must be longer than zero"));
    }
    let names = |key: &str| {
        node.get(key).map(|list| list.items().iter().filter_map(Node::text).map(str::to_owned).collect::<Vec<_>>())
    };
    let group_by =
        names("group_by").map(|labels| if labels == ["..."] { GroupBy::All } else { GroupBy::Labels(labels) });
    let target = ResolvedRoute {
        receiver,
        group_by: group_by.unwrap_or_else(|| parent.group_by.clone()),
        group_wait: file.duration_of(node, "group_wait")?.unwrap_or(parent.group_wait),
        group_interval,
        repeat_interval: file.duration_of(node, "repeat_interval")?.unwrap_or(parent.repeat_interval),
        muted_in: names("mute_time_intervals").unwrap_or_default(),
        active_in: names("active_time_intervals").unwrap_or_default(),
        location: file.location(node),
        path: path.clone(),
    };
    let children = node.get("routes").map(Node::items).unwrap_or_default();
    let routes = children
        .iter()
        .enumerate()
        .map(|(index, child)| parse(file, child, &target, format!("{path}.routes[{index}]"), receivers));
    Ok(Route {
        matchers: matcher::of_node(file, node, "match", "match_re", "matchers")?,
        continues: if file.text_of(node, "continue")?.is_some_and(|text| super::is_true(&text)) {
            Continue::Yes
        } else {
            Continue::No
        },
        routes: routes.collect::<Result<_, _>>()?,
        target,
    })
}
