//! The integrations of an Alertmanager receiver, and what the inbox must know of each.

use serde::{Deserialize, Serialize};

/// A kind of integration, `<name>_configs` in `alertmanager.yml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Kind {
    Webhook,
    Slack,
    Pagerduty,
    Email,
    Opsgenie,
    Victorops,
    Msteams,
    Msteamsv2,
    Discord,
    Telegram,
    Webex,
    Wechat,
    Pushover,
    Sns,
    Jira,
    Rocketchat,
    Mattermost,
    Incidentio,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::Webhook,
        Self::Slack,
        Self::Pagerduty,
        Self::Email,
        Self::Opsgenie,
        Self::Victorops,
        Self::Msteams,
        Self::Msteamsv2,
        Self::Discord,
        Self::Telegram,
        Self::Webex,
        Self::Wechat,
        Self::Pushover,
        Self::Sns,
        Self::Jira,
        Self::Rocketchat,
        Self::Mattermost,
        Self::Incidentio,
    ];

    /// The name, as before `_configs`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Pagerduty => "pagerduty",
            Self::Email => "email",
            Self::Opsgenie => "opsgenie",
            Self::Victorops => "victorops",
            Self::Msteams => "msteams",
            Self::Msteamsv2 => "msteamsv2",
            Self::Discord => "discord",
            Self::Telegram => "telegram",
            Self::Webex => "webex",
            Self::Wechat => "wechat",
            Self::Pushover => "pushover",
            Self::Sns => "sns",
            Self::Jira => "jira",
            Self::Rocketchat => "rocketchat",
            Self::Mattermost => "mattermost",
            Self::Incidentio => "incidentio",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether its calls go to paths below the address that is configured.
    pub(super) const fn calls_below(self) -> bool {
        matches!(self, Self::Opsgenie | Self::Victorops | Self::Telegram | Self::Wechat | Self::Jira | Self::Rocketchat)
    }

    /// Whether its bodies may be forms instead of JSON.
    pub(super) const fn takes_forms(self) -> bool {
        matches!(self, Self::Sns | Self::Pushover)
    }

    /// Status, content type and body that its real service answers with, as far as Alertmanager reads them.
    pub(super) const fn answer(self) -> (u16, &'static str, &'static str) {
        const JSON: &str = "application/json";
        match self {
            Self::Pagerduty => (202, JSON, r#"{"status":"success","message":"Event processed"}"#),
            Self::Opsgenie => (202, JSON, r#"{"result":"Request will be processed","took":0.01,"requestId":"inbox"}"#),
            Self::Victorops => (200, JSON, r#"{"result":"success"}"#),
            Self::Telegram => {
                (200, JSON, r#"{"ok":true,"result":{"message_id":1,"date":1,"chat":{"id":1,"type":"private"}}}"#)
            }
            Self::Wechat => (200, JSON, r#"{"errcode":0,"errmsg":"ok","access_token":"inbox","expires_in":7200}"#),
            Self::Jira => (201, JSON, r#"{"id":"1","key":"INBOX-1","issues":[],"total":0}"#),
            Self::Rocketchat => (200, JSON, r#"{"success":true}"#),
            Self::Pushover => (200, JSON, r#"{"status":1,"request":"inbox"}"#),
            Self::Msteams | Self::Msteamsv2 => (200, "text/plain", "1"),
            _ => (200, "text/plain", "ok"),
        }
    }
}
