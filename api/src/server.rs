//! Accepts connections, and drains them when told to stop.

use crate::{
    config::Config,
    node::{INSECURE_LIMIT, Node},
    router, telemetry,
    tls::{self, Peer},
};
use anyhow::{Context, bail};
use axum::Router;
use gallery::{
    expire::{self, ExpireError},
    jobs, rebuild,
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) fn serve(config: &Config) -> anyhow::Result<()> {
    telemetry::init();
    let tls = tls::acceptor(config)?;
    let node = Arc::new(Node::open(config, config.root_key()?)?);
    if config.insecure_dev {
        let encounters = node.encounters()?;
        if encounters > INSECURE_LIMIT {
            bail!(
                "{encounters} encounters are too many for insecure_dev, which takes {INSECURE_LIMIT}: configure TLS"
            );
        }
        tracing::warn!("insecure_dev: requests and answers are in plain, for whoever reads on this machine");
    }
    if config.insecure_unlimited_searches {
        tracing::warn!(
            "insecure_unlimited_searches: callers may learn templates by searching, and what was remembered of searches is gone"
        );
    }
    if node.callers() == 0 {
        tracing::warn!(
            "nobody holds a grant yet, so every call is refused: begin with `limen-index grant officers`"
        );
    }
    if let Some(why) = rebuild::wanted(&node.gallery) {
        tracing::warn!(%why, "a generation is built");
    }
    jobs::resume(&node.gallery)?;
    if let Some(witnesses) = node.witnesses.clone() {
        let gallery = Arc::clone(&node.gallery);
        // It ends with the process.
        std::thread::Builder::new().name("witnesses".to_owned()).spawn(move || witnesses.follow(&gallery))?;
    }
    let gallery = Arc::clone(&node.gallery);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (listener, address) = listen(config.listen).await?;
        announce(address, tls.is_some());
        tokio::spawn(keep_time(Arc::clone(&node)));
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        };
        accept(listener, node, tls, stop).await;
        anyhow::Ok(())
    })?;
    jobs::halt(&gallery);
    Ok(())
}

/// What is due is done also when nobody asks.
const LOOK_EVERY: Duration = Duration::from_mins(1);

async fn keep_time(node: Arc<Node>) {
    let mut clock = tokio::time::interval(LOOK_EVERY);
    loop {
        clock.tick().await;
        // What fails is told where it is due: by the next search.
        let _ = node.blocking(|gallery| expire::due(gallery).map_err(|ExpireError(error)| error)).await;
        let gallery = Arc::clone(&node.gallery);
        // What fails is the job's outcome; what cannot be begun is tried again.
        let _ = tokio::task::spawn_blocking(move || jobs::keep_calibrated(&gallery)).await;
        let gallery = Arc::clone(&node.gallery);
        let settled = tokio::task::spawn_blocking(move || expire::searches(&gallery)).await;
        if let Ok(Err(error)) = settled {
            tracing::warn!(%error, "what is remembered of searches is kept longer than it should be");
        }
    }
}

/// Tells scripts where the server is, also when it chose the port itself.
#[expect(clippy::print_stdout, reason = "the one line that a script reads")]
fn announce(address: SocketAddr, tls: bool) {
    use std::io::Write;
    println!("limen listens on {}://{address}", if tls { "https" } else { "http" });
    let _ = std::io::stdout().flush(); // nobody reads it: no reason not to serve
}

/// Opens the listening socket.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves connections until `stop`, then waits for the requests that are being answered.
pub(crate) async fn accept(
    listener: TcpListener,
    node: Arc<Node>,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let config = node.config.clone();
    let (patience, drain) =
        (Duration::from_secs(config.receive_timeout_s), Duration::from_secs(config.drain_timeout_s));
    let door = Door { tls, patience, router: router::router(node) };
    let places = Arc::new(Semaphore::new(config.connection_limit));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, say: some that are open will be closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // An answer is one small write: waiting to fill a packet would only delay it.
        let _ = stream.set_nodelay(true);
        // Who does not take an answer holds its place no longer than who does not send a request.
        let patience_ms = u32::try_from(door.patience.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, patience_ms);
        let (door, watcher) = (door.clone(), graceful.watcher());
        tokio::spawn(async move {
            door.serve(stream, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    tracing::info!("stopping: requests that are being answered are finished first");
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// What every connection goes through.
#[derive(Clone)]
struct Door {
    tls: Option<TlsAcceptor>,
    patience: Duration,
    router: Router,
}

impl Door {
    async fn serve(self, stream: TcpStream, watcher: Watcher) {
        let Some(tls) = self.tls.clone() else {
            return self.answer(stream, Peer { certificate: None }, watcher).await;
        };
        match tokio::time::timeout(self.patience, tls.accept(stream)).await {
            Err(_) => tracing::debug!("a handshake took too long"),
            Ok(Err(error)) => tracing::debug!(%error, "handshake"),
            Ok(Ok(stream)) => {
                let peer = tls::peer(&stream);
                self.answer(stream, peer, watcher).await;
            }
        }
    }

    async fn answer(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        watcher: Watcher,
    ) {
        let service = TowerToHyperService::new(self.router);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            service.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "connection");
        }
    }
}
