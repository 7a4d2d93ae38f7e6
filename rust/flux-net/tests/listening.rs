//! Addresses: taken, in use, wrong; and set-ups that cannot work.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod modes;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;

use flux_net::{Limits, Listeners, NetError, Server, ServerConfig, WORKERS_MAX};
use flux_types::{Coded, ErrorKind};

use modes::{Modes, PATIENCE, Seen, Shared, read_exactly, run};

#[test]
fn a_port_in_use_is_a_clear_error() {
    let running = run(1, Limits::default());
    let error = Listeners::bind(&[running.address()]).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("net.address_in_use", ErrorKind::Conflict));
    let text = error.to_string();
    assert!(text.contains(&running.address().to_string()), "{text}");
    #[cfg(target_os = "linux")]
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
    let hint = error.problem().hint.unwrap();
    assert!(hint.contains(&running.address().port().to_string()), "{hint}");
}

#[test]
fn a_port_taken_between_binding_and_starting_is_the_same_error() {
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let again = Listeners::bind(&listeners.local_addresses()).unwrap();
    let (seen, _receiver) = channel();
    let modes = || Modes { shared: Arc::new(Shared::default()), seen: seen.clone() };
    let _first = Server::start(listeners, &ServerConfig::new("first"), modes()).unwrap();
    let error = Server::start(again, &ServerConfig::new("second"), modes()).unwrap_err();
    assert_eq!(error.code(), "net.address_in_use");
}

#[test]
fn a_port_is_free_again_after_a_stop_with_connections_open() {
    let mut running = run(1, Limits::default());
    let mut stream = running.connect_as(b"e!");
    assert_eq!(read_exactly(&mut stream, 1), b"!");
    let address = running.address();
    running.server.stop().unwrap();
    Listeners::bind(&[address]).unwrap();
}

#[test]
fn an_address_of_another_machine_is_a_clear_error() {
    // 192.0.2.0/24 is for documentation (RFC 5737): nobody has it.
    let error = Listeners::bind(&["192.0.2.1:0".parse().unwrap()]).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("net.address_unavailable", ErrorKind::Invalid));
    assert_eq!(Listeners::bind(&[]).unwrap_err().code(), "net.no_address");
}

#[test]
fn ipv4_reaches_a_listener_on_all_of_ipv6_and_is_seen_as_ipv4() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("this machine has no IPv6");
        return;
    }
    let listeners = Listeners::bind(&[SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)]).unwrap();
    let (sender, seen) = channel();
    let modes = Modes { shared: Arc::new(Shared::default()), seen: sender };
    let server = Server::start(listeners, &ServerConfig::new("six"), modes).unwrap();
    let port = server.local_addresses()[0].port();
    for from in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let mut stream = TcpStream::connect((from, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"e!").unwrap();
        assert_eq!(read_exactly(&mut stream, 1), b"!");
        let opened = std::iter::from_fn(|| seen.recv_timeout(PATIENCE).ok())
            .find_map(|seen| if let Seen::Opened(_, peer) = seen { Some(peer) } else { None });
        assert_eq!(opened.unwrap().address.ip(), from);
    }
}

#[test]
fn several_addresses_are_served_and_told_apart() {
    let any = "127.0.0.1:0".parse().unwrap();
    let listeners = Listeners::bind(&[any, any]).unwrap();
    let (sender, seen) = channel();
    let modes = Modes { shared: Arc::new(Shared::default()), seen: sender };
    let server = Server::start(listeners, &ServerConfig::new("two"), modes).unwrap();
    for (place, address) in server.local_addresses().iter().enumerate() {
        let _stream = TcpStream::connect(address).unwrap();
        let opened = std::iter::from_fn(|| seen.recv_timeout(PATIENCE).ok())
            .find_map(|seen| if let Seen::Opened(_, peer) = seen { Some(peer) } else { None });
        assert_eq!(opened.unwrap().listener, place);
    }
}

#[test]
fn a_limit_out_of_range_is_named() {
    let start = |config: &ServerConfig| {
        let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let (seen, _receiver) = channel();
        Server::start(listeners, config, Modes { shared: Arc::default(), seen }).unwrap_err()
    };
    let config = ServerConfig { workers: WORKERS_MAX + 1, ..ServerConfig::new("many") };
    assert!(matches!(start(&config), NetError::Limit { name: "workers", max: 64, .. }));
    let limits = Limits { connections_max: 0, ..Limits::default() };
    let config = ServerConfig { limits, ..ServerConfig::new("none") };
    assert!(matches!(start(&config), NetError::Limit { name: "connections_max", min: 1, .. }));
    let limits = Limits { output_bytes_high: 5 << 20, ..Limits::default() };
    let config = ServerConfig { limits, ..ServerConfig::new("high") };
    assert!(matches!(start(&config), NetError::Limit { name: "output_bytes_high", .. }));
}
