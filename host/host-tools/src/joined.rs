//! All servers that were joined: started together, ended together.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::config::Config;
use crate::server::{Server, ServerState, ServerStatus};
use crate::{Client, Provider, ToolRegistry};

/// Longest that a server which must be there is waited for.
const STRICT_LIMIT: Duration = Duration::from_secs(30);

/// How often its state is looked at.
const STRICT_PAUSE: Duration = Duration::from_millis(20);

/// The joined servers. When it is dropped without [`Joined::stop`], their processes are killed.
pub struct Joined {
    servers: Vec<Arc<Server>>,
    broken: Vec<ServerStatus>,
    tasks: JoinSet<()>,
}

impl Joined {
    /// Starts every server of a configuration at once, and waits for none: each appears in the
    /// registry when it has given its list. Call it on a tokio runtime.
    pub fn start(config: Config, registry: &ToolRegistry) -> Self {
        Self::start_for(config, registry, None)
    }

    /// As [`Joined::start`], with somebody whom the servers may ask for input
    /// (`elicitation/create`); without them a server hears that nobody can be asked.
    pub fn start_for(
        config: Config,
        registry: &ToolRegistry,
        client: Option<&Arc<dyn Client>>,
    ) -> Self {
        let metrics = registry.metrics();
        let mut joined = Self { servers: Vec::new(), broken: Vec::new(), tasks: JoinSet::new() };
        for (name, reason) in config.broken {
            tracing::warn!(server = %name, %reason, "a server of the configuration is not joined");
            let status = ServerStatus::new(&name);
            let (state, reason) = (ServerState::Disabled, Some(reason));
            joined.broken.push(ServerStatus { state, reason, ..status });
        }
        for warning in config.warnings {
            tracing::warn!(%warning, "configuration of servers");
        }
        for server in config.servers {
            let server = Server::new(server, metrics, client.cloned());
            registry.add(Arc::<Server>::clone(&server) as Arc<dyn Provider>);
            joined.tasks.spawn(Arc::clone(&server).supervise());
            joined.servers.push(server);
        }
        joined
    }

    /// How each server is, by name.
    pub fn status(&self) -> Vec<ServerStatus> {
        let servers = self.servers.iter().map(|server| server.status());
        let mut all: Vec<_> = servers.chain(self.broken.iter().cloned()).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Waits for the servers that the configuration calls `strict`.
    ///
    /// # Errors
    ///
    /// A line for people: one of them is not ready in time.
    pub async fn strict_ones(&self) -> Result<(), String> {
        let last = tokio::time::Instant::now() + STRICT_LIMIT;
        for server in self.servers.iter().filter(|server| server.config.strict) {
            loop {
                let status = server.status();
                if status.state == ServerState::Ready {
                    break;
                }
                if tokio::time::Instant::now() >= last || status.state == ServerState::Disabled {
                    let reason = status.reason.unwrap_or_else(|| "it is starting".to_owned());
                    return Err(format!("the server {} must be there: {reason}", status.name));
                }
                tokio::time::sleep(STRICT_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Ends every server: its input is closed, then it is asked, then it is killed.
    pub async fn stop(mut self) {
        for server in &self.servers {
            server.stop();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").field("servers", &self.servers.len()).finish_non_exhaustive()
    }
}
