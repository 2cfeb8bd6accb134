//! Accepts connections, and drains them when told to stop.

use crate::{config::Config, node::Node, router, telemetry};
use anyhow::Context;
use gallery::{jobs, rebuild};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) fn serve(config: &Config) -> anyhow::Result<()> {
    telemetry::init();
    let node = Arc::new(Node::open(config, config.root_key()?)?);
    if node.callers() == 0 {
        tracing::warn!(
            "nobody holds a grant yet, so every call is refused: begin with `limen-index grant officers`"
        );
    }
    if let Some(why) = rebuild::wanted(&node.gallery) {
        tracing::warn!(%why, "a generation is built");
    }
    jobs::resume(&node.gallery)?;
    let gallery = Arc::clone(&node.gallery);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (listener, address) = listen(config.listen).await?;
        announce(address);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async move {
            tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        };
        accept(listener, node, stop).await;
        anyhow::Ok(())
    })?;
    jobs::halt(&gallery);
    Ok(())
}

/// Tells scripts where the server is, also when it chose the port itself.
#[expect(clippy::print_stdout, reason = "the one line that a script reads")]
fn announce(address: SocketAddr) {
    use std::io::Write;
    println!("limen listens on http://{address}");
    let _ = std::io::stdout().flush(); // nobody reads it: no reason not to serve
}

/// Opens the listening socket.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves connections until `stop`, then waits for the requests that are being answered.
pub(crate) async fn accept(listener: TcpListener, node: Arc<Node>, stop: impl Future<Output = ()>) {
    let config = node.config.clone();
    let service = TowerToHyperService::new(router::router(node));
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
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(config.receive_timeout_s))
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection");
            }
            drop(place);
        });
    }
    drop(listener);
    tracing::info!("stopping: requests that are being answered are finished first");
    let drain = Duration::from_secs(config.drain_timeout_s);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}
