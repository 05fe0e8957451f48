//! The tokens of a person who logged in to a server, in a file that only the user can read.
//!
//! The file is named after the address: a token reaches no other server, whatever the configuration
//! calls it. It is read whenever it is needed, so a login is heard of by whoever runs already.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rmcp::transport::auth::{
    AuthError, CredentialRefreshGuard, CredentialStore, StoredCredentials,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How long another process may take to renew a token.
const RENEWAL_LIMIT: Duration = Duration::from_secs(60);

/// How often it is asked whether it has.
const RENEWAL_PAUSE: Duration = Duration::from_millis(20);

/// Bytes of the hash in the name of a file.
const NAME_BYTES: usize = 12;

/// What is kept of one server.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// The server's address, for whoever looks into the file.
    pub(crate) url: String,
    /// What the server answered when it last refused somebody.
    pub(crate) challenge: Option<String>,
    /// What the authorization server gave the host when it registered.
    pub(crate) client_secret: Option<String>,
    /// The tokens.
    pub(crate) credentials: Option<StoredCredentials>,
}

/// The file of one server.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    url: String,
}

impl Store {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned() }
    }

    fn file(&self) -> io::Result<PathBuf> {
        let hash = Sha256::digest(self.url.as_bytes());
        let name: String = hash.iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Ok(folder()?.join(format!("{name}.json")))
    }

    /// What is kept; nothing if there is no file.
    pub(crate) fn read(&self) -> io::Result<Record> {
        // Without a folder nobody logged in.
        let Ok(file) = self.file() else { return Ok(Record::default()) };
        let shown = file.display();
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                io::Error::other(format!("{shown}: {error}; remove it and log in again"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
            Err(error) => Err(io::Error::other(format!("{shown}: {error}"))),
        }
    }

    /// Changes what is kept.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let mut record = self.read()?;
        change(&mut record);
        record.url.clone_from(&self.url);
        let file = self.file()?;
        let fresh = file.with_extension(format!("{}.part", std::process::id()));
        let mut part = private(&fresh)?;
        part.write_all(&serde_json::to_vec(&record)?)?;
        part.sync_all()?;
        fs::rename(&fresh, &file)
    }

    /// Waits until nobody else renews the token.
    async fn lock(&self) -> io::Result<File> {
        let file = private(&self.file()?.with_extension("lock"))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() < RENEWAL_LIMIT => {
                    tokio::time::sleep(RENEWAL_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Where the user keeps what programs are told.
fn folder() -> io::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = set("XDG_DATA_HOME").or_else(|| set("LOCALAPPDATA")).map(PathBuf::from);
    let base = named.or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/share")));
    let base = base.ok_or_else(|| io::Error::other("neither XDG_DATA_HOME nor HOME is set"))?;
    Ok(base.join("host").join("mcp"))
}

/// A file that nobody else can read, in a folder that nobody else can enter.
fn private(path: &Path) -> io::Result<File> {
    let mut folder = fs::DirBuilder::new();
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        folder.mode(0o700);
        file.mode(0o600);
    }
    if let Some(parent) = path.parent() {
        folder.recursive(true).create(parent)?;
    }
    file.open(path)
}

#[async_trait::async_trait]
impl CredentialStore for Store {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        Ok(self.read().map_err(fault)?.credentials)
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        self.change(|record| record.credentials = Some(credentials)).map_err(fault)
    }

    async fn clear(&self) -> Result<(), AuthError> {
        self.change(|record| record.credentials = None).map_err(fault)
    }

    async fn acquire_refresh_guard(&self) -> Result<Option<CredentialRefreshGuard>, AuthError> {
        Ok(Some(CredentialRefreshGuard::new(self.lock().await.map_err(fault)?)))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err wants")]
fn fault(error: io::Error) -> AuthError {
    AuthError::CredentialStoreError(error.to_string())
}
