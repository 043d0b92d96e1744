//! https: a server with a certificate of its own, known and unknown.

use std::sync::Arc;

use ossmark_protocol::End;
use ossmark_remote::{Api as RemoteApi, Remote};
use rustls_pki_types::PrivateKeyDer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

use crate::script::{Do, client, json, read_request, settings, sglang};

/// Answers every request: the first, with a prompt of one token, and those with three.
fn serve() -> (String, String, tokio::runtime::Runtime) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    return;
                };
                while let Ok(Some(request)) = read_request(&mut stream).await {
                    let answer = sglang(&[5, 6], 2, "stop");
                    let answer = match request.contains("[7,8,9]") {
                        true => answer,
                        false => answer.replace(": 3,", ": 1,"),
                    };
                    let Do::Send(bytes) = json(&answer) else {
                        unreachable!()
                    };
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, made.cert.pem(), runtime)
}

#[test]
fn a_certificate_of_the_given_file_is_trusted_and_no_other() {
    let (url, pem, _runtime) = serve();
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let mut known = settings(&[&url], false);
    known.api = Some(RemoteApi::Sglang);
    known.ca_file = Some(file.clone());
    let got = client(known.clone()).ask(2);
    assert!(got.iter().all(|got| got.end == Some(End::Stop)));

    let (other, _, _other_runtime) = serve();
    let mut unknown = known.clone();
    unknown.endpoints = vec![other.parse().unwrap()];
    let error = Remote::start(unknown, Box::new(|_| true)).unwrap_err();
    assert!(error.to_string().contains("TLS handshake"), "{error}");

    std::fs::write(&file, "no certificate").unwrap();
    let error = Remote::start(known, Box::new(|_| true))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("ca.pem") || error.contains("--ca-file"),
        "{error}"
    );
}
