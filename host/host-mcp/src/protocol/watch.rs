//! Tells clients that a list has changed: only those who may see the change, and only which list.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use host_tools::{Caller, Catalog, ToolRegistry};
use rmcp::RoleServer;
use rmcp::model::{
    PromptListChangedNotification, ResourceListChangedNotification, ResourceUpdatedNotification,
    ResourceUpdatedNotificationParam, ServerNotification, SubscriptionFilter,
    ToolListChangedNotification,
};
use rmcp::service::{Peer, SubscriptionContext};
use tokio::sync::watch;

/// Addresses of the host's own resources, which change when its lists do.
const OWN: &str = "host://";

/// What a caller was told of the lists.
pub(super) struct Watch {
    registry: ToolRegistry,
    caller: Caller,
    changes: watch::Receiver<u64>,
    seen: Arc<Catalog>,
}

impl Watch {
    pub(super) fn new(registry: &ToolRegistry, caller: Caller) -> Self {
        let mut changes = registry.changed();
        changes.mark_unchanged();
        let seen = registry.list(&caller);
        Self { registry: registry.clone(), caller, changes, seen }
    }

    /// Waits for a change and says what is wanted of it; none: there will be no more changes.
    async fn next(&mut self, wanted: &SubscriptionFilter) -> Option<Vec<ServerNotification>> {
        self.changes.changed().await.ok()?;
        let before = std::mem::replace(&mut self.seen, self.registry.list(&self.caller));
        let now = &self.seen;
        let mut told = Vec::new();
        if wanted.tools_list_changed == Some(true) && before.tools != now.tools {
            told.push(ToolListChangedNotification::default().into());
        }
        if wanted.prompts_list_changed == Some(true) && before.prompts != now.prompts {
            told.push(PromptListChangedNotification::default().into());
        }
        let are_resources_others = before.resources != now.resources
            || before.resource_templates != now.resource_templates;
        if wanted.resources_list_changed == Some(true) && are_resources_others {
            told.push(ResourceListChangedNotification::default().into());
        }
        let uris = wanted.resource_subscriptions.iter().flatten();
        told.extend(uris.filter(|uri| uri.starts_with(OWN)).map(|uri| {
            let params = ResourceUpdatedNotificationParam::new(uri.clone());
            ResourceUpdatedNotification::new(params).into()
        }));
        Some(told)
    }
}

/// Tells the client of a session, for as long as it is there.
pub(super) async fn tell(
    mut watch: Watch,
    peer: &Peer<RoleServer>,
    subscribed: &Mutex<BTreeSet<String>>,
) {
    loop {
        let uris = subscribed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = SubscriptionFilter::builder()
            .tools_list_changed()
            .prompts_list_changed()
            .resources_list_changed()
            .resource_subscriptions(uris)
            .build();
        let Some(told) = watch.next(&wanted).await else { return };
        for notification in told {
            if peer.send_notification(notification).await.is_err() {
                return;
            }
        }
    }
}

/// Tells the client of a subscription what it asked to hear.
pub(super) async fn follow(mut watch: Watch, subscription: &SubscriptionContext) {
    while let Some(told) = watch.next(subscription.accepted()).await {
        for notification in told {
            if subscription.sink().send(notification).await.is_err() {
                return;
            }
        }
    }
}
