//! Listening sockets, and the clients in their queues.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::*;

fn local(port: u16) -> Address {
    Address::Tcp { host: Some(Ipv4Addr::LOCALHOST.into()), port, v6_only: false }
}

fn bound(listener: &Listener) -> SocketAddr {
    match listener.address() {
        Address::Tcp { host: Some(host), port, .. } => (*host, *port).into(),
        other => panic!("{other}"),
    }
}

#[test]
fn port_zero_gives_the_bound_port_and_a_second_bind_is_in_use() {
    let listener = Listener::bind(&local(0), 8).unwrap();
    let address = bound(&listener);
    assert_ne!(address.port(), 0);
    assert_eq!(
        Listener::bind(&local(address.port()), 8).unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
    let _client = TcpStream::connect(address).unwrap();
    let (_, client) = listener.accept().unwrap();
    assert_eq!(client, Some(Ipv4Addr::LOCALHOST.into()));
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn after_refuse_new_the_queue_is_still_served_and_new_clients_are_refused() {
    let listener = Listener::bind(&local(0), 64).unwrap();
    let address = bound(&listener);
    let mut waiting: Vec<TcpStream> =
        (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    listener.refuse_new().unwrap();
    assert!(
        TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err(),
        "closed to new clients"
    );
    for client in &mut waiting {
        client.write_all(b"?").unwrap();
    }
    let mut accepted = Vec::new();
    while let Ok((fd, _)) = listener.accept() {
        accepted.push(TcpStream::from(fd));
    }
    assert_eq!(accepted.len(), 20);
    drop(listener);
    for (mut server, mut client) in accepted.into_iter().zip(waiting) {
        server.write_all(b"!").unwrap();
        let mut answer = [0];
        client.read_exact(&mut answer).unwrap();
    }
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_unix_socket_serves_its_queue_after_refuse_new_and_leaves_no_file() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("app.sock");
    let listener = Listener::bind(&Address::Unix(path.clone()), 8).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    listener.refuse_new().unwrap();
    assert!(!path.exists());
    assert!(listener.accept().is_ok());
}

#[test]
fn an_inherited_socket_keeps_its_queue_and_its_path_for_the_next_process() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("app.sock");
    let theirs = UnixListener::bind(&path).unwrap();
    let first = Listener::inherit(theirs.try_clone().unwrap().into()).unwrap();
    let mut before = UnixStream::connect(&path).unwrap();
    first.refuse_new().unwrap();
    let mut after = UnixStream::connect(&path).unwrap();
    drop(first);
    assert!(path.exists());
    let second = Listener::inherit(theirs.into()).unwrap();
    for client in [&mut before, &mut after] {
        UnixStream::from(second.accept().unwrap().0).write_all(b"!").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn an_inherited_tcp_socket_still_gets_new_clients_after_refuse_new() {
    let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = Listener::inherit(theirs.try_clone().unwrap().into()).unwrap();
    let address = bound(&first);
    first.refuse_new().unwrap();
    drop(first);
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).unwrap();
    assert!(Listener::inherit(theirs.into()).unwrap().accept().is_ok());
}

#[test]
fn only_a_listening_stream_socket_is_inherited() {
    let file = tempfile::tempfile().unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (connected, _other) = UnixStream::pair().unwrap();
    for fd in [OwnedFd::from(file), datagrams.into(), connected.into()] {
        assert!(Listener::inherit(fd).is_err());
    }
}

#[test]
fn a_shared_socket_that_is_dropped_listens_no_more_although_a_worker_has_it() {
    let mut listener = Listener::bind(&local(0), 64).unwrap();
    let address = bound(&listener);
    // As in a worker that is stuck.
    let copy = listener.share().unwrap();
    drop(listener);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert!(Listener::bind(&local(address.port()), 8).is_ok(), "the port is free");
    drop(copy);
}

#[test]
fn a_socket_for_all_addresses_serves_all_who_ask_for_all() {
    let tcp =
        |host: &str, v6_only: bool| Address::Tcp { host: host.parse().ok(), port: 80, v6_only };
    for asked in ["0.0.0.0", "::", ""] {
        assert!(tcp("::", false).serves(&tcp(asked, false)), "{asked}");
    }
    assert!(tcp("0.0.0.0", false).serves(&tcp("", false)));
    assert!(tcp("::", true).serves(&tcp("::", true)));
    for (ours, v6_only, asked) in
        [("::", true, "0.0.0.0"), ("::", false, "127.0.0.1"), ("127.0.0.1", false, "0.0.0.0")]
    {
        assert!(!tcp(ours, v6_only).serves(&tcp(asked, false)), "{ours} {asked}");
    }
    let other_port = Address::Tcp { host: None, port: 81, v6_only: false };
    assert!(!tcp("::", false).serves(&other_port));
}

#[test]
fn a_stale_unix_socket_is_replaced_and_a_living_one_or_a_file_is_not() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("app.sock");
    let address = Address::Unix(path.clone());
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&address, 8).expect("no process listens: stale");
    assert_eq!(Listener::bind(&address, 8).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists(), "the path belongs to another socket now");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "a file").unwrap();
    assert_eq!(Listener::bind(&address, 8).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn a_socket_that_was_lent_lets_clients_in_again_although_the_other_master_refused_them() {
    let mut listener = Listener::bind(&local(0), 8).unwrap();
    let address = bound(&listener);
    listener.set_lent(true);
    let copy = listener.as_fd().try_clone_to_owned().unwrap();
    let mut other = Listener::adopt(copy, false, 8).unwrap();
    other.set_lent(false);
    other.refuse_new().unwrap();
    let soon = Duration::from_millis(200);
    assert!(TcpStream::connect_timeout(&address, soon).is_err());
    // It was killed: it closes nothing.
    std::mem::forget(other);
    listener.set_lent(false);
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).unwrap();
    assert!(listener.accept().is_ok());
}

/// Two masters bind a path whose file the scripts of their workers remove.
#[test]
fn the_file_of_another_listener_is_never_taken_for_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.sock");
    let address = Address::Unix(path.clone());
    let bind_often = || {
        for round in 0..2_000 {
            let _ = std::fs::remove_file(&path);
            let Ok(listener) = Listener::bind(&address, 8) else { continue };
            let is_ours = || listener.file() == Some(FileState::Ours);
            let (before, client, after) = (is_ours(), UnixStream::connect(&path), is_ours());
            let is_reached = listener.accept().is_ok();
            assert!(is_reached || !before || !after || client.is_err(), "round {round}");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(bind_often);
        scope.spawn(bind_often);
    });
}
