//! The field `auth` of a server with an address.

use super::Entry;
use crate::config::{Auth, Grant, Source};

impl Entry<'_> {
    /// Reads how a token is come by into the source.
    pub(super) fn auth(&mut self, source: &mut Source) -> Result<(), String> {
        let Some(fields) = self.field("auth") else { return Ok(()) };
        let fields = fields.as_object().ok_or("`auth`: an object expected")?;
        let Source::Http { headers, auth, .. } = source else {
            return Err("`auth` is for servers with a `url`; a program gets `env`".to_owned());
        };
        if headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
            return Err("`auth` or a token of your own, not both".to_owned());
        }
        let mut inner = Entry::new(fields, self.environment);
        *auth = inner.fields_of_auth().map_err(|error| format!("`auth`: {error}"))?;
        inner.warn_of_unknown();
        let warnings = inner.warnings.into_iter();
        self.warnings.extend(warnings.map(|warning| format!("`auth`: {warning}")));
        Ok(())
    }

    fn fields_of_auth(&self) -> Result<Auth, String> {
        let grant = match self.text("grant")?.as_deref() {
            None | Some("authorization_code") => Grant::AuthorizationCode,
            Some("client_credentials") => Grant::ClientCredentials,
            Some(other) => {
                let expected = "authorization_code or client_credentials expected";
                return Err(format!("`grant`: {expected}, not {other}"));
            }
        };
        let port = self.count("redirect_port")?.unwrap_or(0);
        let auth = Auth {
            grant,
            client_id: self.text("client_id")?,
            client_secret: self.text("client_secret")?,
            scopes: self.texts("scopes")?,
            redirect_port: u16::try_from(port)
                .map_err(|_| format!("`redirect_port`: a port expected, not {port}"))?,
        };
        match (grant, &auth.client_id, &auth.client_secret) {
            (Grant::ClientCredentials, None, _) | (_, None, Some(_)) => {
                Err("`client_id` is missing".to_owned())
            }
            (Grant::ClientCredentials, _, None) => Err("`client_secret` is missing".to_owned()),
            _ => Ok(auth),
        }
    }
}
