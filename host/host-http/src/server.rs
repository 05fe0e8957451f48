//! Accepts connections and serves them until it is told to stop.
//!
//! Written on hyper because a host that faces anything must bound what a connection may take: its
//! number, its head in bytes and in time. Small packets go out at once (`TCP_NODELAY`), since each
//! token is one. It knows no route.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::limits::{HEADER_BYTES_MAX, HEADERS_MAX};
use crate::state::AppState;

/// How long to wait when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves a router of [`crate::router()`] or [`crate::others_alone`] until `shutdown` is ready: then
/// no connection is accepted, no request is taken, and what is being answered gets the grace period
/// to finish.
///
/// # Errors
/// The listener is broken.
pub async fn serve(
    listener: TcpListener,
    service: Router,
    state: AppState,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let options = state.options().clone();
    let places = Arc::new(Semaphore::new(options.connections_max));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        // Connections that have ended, so that the set does not grow with them.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted?,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let connection = Connection {
            service: service.clone(),
            peer,
            header_timeout: options.header_timeout,
            stopped: stopped.clone(),
            _place: place,
        };
        connections.spawn(connection.serve(stream));
    }
    drop(listener);
    state.drain();
    state.models().shutdown();
    // Nobody listens when there is no connection.
    let _ = stop.send(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(options.grace, finished).await.is_err() {
        tracing::warn!(left = connections.len(), "the grace period is over; closing connections");
        connections.shutdown().await;
    }
    Ok(())
}

/// The next connection, once there is a place for it; none when this one was lost at once.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<Option<(TcpStream, Peer, OwnedSemaphorePermit)>> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    match listener.accept().await {
        Ok((stream, address)) => {
            stream.set_nodelay(true).ok();
            Ok(Some((stream, Peer(address.ip()), place)))
        }
        Err(error) if is_passing(&error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether accepting may work again later: the client left, or the system is short of sockets.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    !matches!(error.kind(), Kind::InvalidInput | Kind::NotConnected | Kind::Unsupported)
}

/// Who is at the other end of a connection; beside each of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

struct Connection {
    service: Router,
    peer: Peer,
    header_timeout: Duration,
    stopped: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let (peer, router) = (self.peer, TowerToHyperService::new(self.service));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = told(self.stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // Clients leave as they please; nothing is wrong with the host.
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// Waits until the host is told to stop.
async fn told(mut stopped: watch::Receiver<bool>) {
    // An error means that the host is gone, which is the same.
    drop(stopped.wait_for(|stopped| *stopped).await);
}
