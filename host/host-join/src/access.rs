//! Whom a server is told that asks: rmcp speaks OAuth, here is decided when.
//!
//! Nothing is asked for before a server refuses somebody. Then a program with credentials of its own
//! exchanges them for a token, and the token of a person is renewed; where that is not enough, the
//! host hears what a person has to do. A token goes to the server it was given for and nowhere else.

use rmcp::transport::auth::{
    AuthError, AuthorizationManager, ClientCredentialsConfig, OAuthClientConfig,
    WWWAuthenticateParams,
};
use rmcp::transport::streamable_http_client::StreamableHttpError;
use tokio::sync::Mutex;

use crate::settings::{Grant, Settings};
use crate::store::Store;

/// A right that means "renew my token", which a program with credentials never has to.
const OFFLINE: &str = "offline_access";

/// Who asks one server.
pub(crate) struct Access {
    pub(crate) url: String,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    ready: Mutex<Option<Ready>>,
}

/// An authorization server that is known.
struct Ready {
    manager: AuthorizationManager,
    /// Whom it knows the host as.
    client_id: String,
}

impl Access {
    pub(crate) fn new(url: &str, settings: Settings) -> Self {
        let store = Store::new(url);
        Self { url: url.to_owned(), settings, store, ready: Mutex::new(None) }
    }

    /// The token to send, if there is one.
    pub(crate) async fn token(&self) -> Result<Option<String>, AuthError> {
        self.current(&mut *self.ready.lock().await).await
    }

    async fn current(&self, ready: &mut Option<Ready>) -> Result<Option<String>, AuthError> {
        if self.settings.grant == Grant::AuthorizationCode {
            self.recall(ready).await?;
        }
        match ready {
            Some(ready) => held(ready.manager.get_access_token().await),
            None => Ok(None),
        }
    }

    /// Reads who logged in, unless that is known.
    async fn recall(&self, ready: &mut Option<Ready>) -> Result<(), AuthError> {
        let record = self.store.read();
        let record = record.map_err(|error| AuthError::CredentialStoreError(error.to_string()))?;
        let Some(credentials) = record.credentials else {
            *ready = None;
            return Ok(());
        };
        let client_id = credentials.client_id;
        if ready.as_ref().is_some_and(|ready| ready.client_id == client_id) {
            return Ok(());
        }
        let mut manager = AuthorizationManager::new(&self.url).await?;
        manager.set_credential_store(self.store.clone());
        if manager.initialize_from_store().await? {
            let own = self.settings.client_id.as_ref() == Some(&client_id);
            let secret =
                if own { self.settings.client_secret.clone() } else { record.client_secret };
            if let Some(secret) = secret {
                let known = OAuthClientConfig::new(client_id.as_str(), self.url.as_str());
                manager.configure_client(known.with_client_secret(secret))?;
            }
            *ready = Some(Ready { manager, client_id });
        }
        Ok(())
    }

    /// A token in the place of one that the server refused, if there is one.
    pub(crate) async fn renew(
        &self,
        refused: Option<&str>,
        challenge: &str,
    ) -> Result<Option<String>, AuthError> {
        let mut ready = self.ready.lock().await;
        let current = self.current(&mut ready).await?;
        if current.is_some() && current.as_deref() != refused {
            return Ok(current);
        }
        match (self.settings.grant, &*ready) {
            (Grant::ClientCredentials, _) => {
                let known = self.exchange(challenge).await?;
                let token = known.manager.get_access_token().await?;
                *ready = Some(known);
                Ok(Some(token))
            }
            (Grant::AuthorizationCode, Some(Ready { manager, .. })) if current.is_some() => {
                match manager.refresh_token().await {
                    Ok(_) => held(manager.get_access_token().await),
                    Err(AuthError::AuthorizationRequired | AuthError::TokenRefreshRejected(_)) => {
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Ok(None),
        }
    }

    /// Exchanges the credentials of the configuration for a token.
    async fn exchange(&self, challenge: &str) -> Result<Ready, AuthError> {
        let mut manager = AuthorizationManager::new(&self.url).await?;
        let found = manager.resolve_metadata_from_challenge(Some(challenge)).await?;
        manager.set_metadata(found.metadata);
        let mut scopes = self.settings.scopes.clone();
        if scopes.is_empty() {
            scopes = manager.select_initial_scopes(&[]).await;
            scopes.retain(|scope| scope != OFFLINE);
        }
        let client_id = self.settings.client_id.clone().unwrap_or_default();
        let config = ClientCredentialsConfig::ClientSecret {
            client_id: client_id.clone(),
            client_secret: self.settings.client_secret.clone().unwrap_or_default(),
            scopes,
            resource: Some(self.url.clone()),
        };
        manager.validate_client_credentials_metadata(&config)?;
        manager.configure_client_credentials(&config)?;
        manager.exchange_client_credentials(&config).await?;
        Ok(Ready { manager, client_id })
    }

    /// What to do about an error, for a person.
    pub(crate) fn explain(&self, error: &StreamableHttpError<reqwest::Error>) -> String {
        let Some(challenge) = error.auth_challenge() else { return words(error) };
        let wanted = self.wanted(challenge);
        let Settings { server, grant, .. } = &self.settings;
        if *grant != Grant::AuthorizationCode {
            return match wanted.scope {
                Some(scope) if wanted.is_insufficient_scope() => {
                    format!(
                        "the server wants the rights `{scope}`, which the credentials of {server} do not give"
                    )
                }
                _ => format!("the server refuses the credentials of {server}: {challenge}"),
            };
        }
        // The login begins with what the server said.
        let noted = self.store.change(|record| record.challenge = Some(challenge.to_owned()));
        let unnoted = noted.err().map(|error| format!(" ({error})")).unwrap_or_default();
        let why = match wanted.scope {
            Some(scope) if wanted.is_insufficient_scope() => format!("wants the rights `{scope}`"),
            _ => "wants to know who asks".to_owned(),
        };
        format!("the server {why}: run `host mcp login {server}`{unnoted}")
    }

    /// What a server wants to know.
    pub(crate) fn wanted(&self, challenge: &str) -> WWWAuthenticateParams {
        match reqwest::Url::parse(&self.url) {
            Ok(url) => WWWAuthenticateParams::parse(challenge, &url),
            Err(_) => WWWAuthenticateParams::default(),
        }
    }
}

/// A token that is there, or that somebody has to come by.
fn held(token: Result<String, AuthError>) -> Result<Option<String>, AuthError> {
    match token {
        Ok(token) => Ok(Some(token)),
        Err(AuthError::AuthorizationRequired) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An error with its reasons.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        let reason_words = reason.to_string();
        if !words.contains(&reason_words) {
            words = format!("{words}: {reason_words}");
        }
        source = reason.source();
    }
    words
}
