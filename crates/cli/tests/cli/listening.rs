//! Sockets: real ports, both families, and one clear line for what cannot be listened on.

use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::kit::{Proxy, ended, refused, sluicegate};
use crate::origin::Origin;

#[test]
fn says_where_it_listens_and_who_may_use_it() {
    let proxy = Proxy::start(&[]);
    let address = proxy.address;
    assert_ne!(address.port(), 0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        proxy.said(),
        format!(
            "sluicegate {version}\nlistening on {address}\nclients: this machine only\n\
             try: curl -x http://{address} http://example.com/\n"
        )
    );
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    for holders in ["1", "2"] {
        let proxy = Proxy::start(&["--workers", holders]);
        for workers in ["1", "2", "3"] {
            let address = proxy.address.to_string();
            let (said, code) = refused(&["--listen", &address, "--workers", workers]);
            assert_eq!(code, 1);
            let why = "address already in use; stop what listens there or choose another port with --listen or --port";
            assert_eq!(said, format!("sluicegate: cannot listen on {address}: {why}\n"));
        }
    }
}

#[test]
fn a_port_of_somebody_else_is_in_use_too() {
    let somebody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = somebody.local_addr().unwrap().port().to_string();
    for workers in ["1", "2"] {
        let (said, code) = refused(&["--port", &port, "--workers", workers]);
        assert!(code == 1 && said.contains("in use"), "{said}");
    }
}

#[test]
fn an_address_of_another_machine() {
    let (said, code) = refused(&["--listen", "192.0.2.1:0", "--allow-client", "10.0.0.0/8"]);
    assert_eq!(code, 1);
    assert!(said.contains("cannot listen on 192.0.2.1:0: this machine has no such address"), "{said}");
}

#[test]
fn localhost_is_one_port_in_both_families() {
    let proxy = Proxy::run(sluicegate(&["--listen", "localhost:0", "--workers", "2"]).stdout(Stdio::null()));
    let addresses = proxy.addresses();
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == proxy.address.port()));
    let has_v6 = TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(addresses.len(), if has_v6 { 2 } else { 1 });
    for address in addresses {
        TcpStream::connect(address).unwrap();
    }
}

#[test]
fn an_ipv6_listener_is_not_an_ipv4_listener_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let flags = ["--listen", "[::]:0", "--allow-client", "127.0.0.1", "--allow-client", "::1"];
    // Its free port may be somebody else's over IPv4: not three times.
    let is_alone = (0..3).any(|_| {
        let proxy = Proxy::run(sluicegate(&flags).stdout(Stdio::null()));
        let port = proxy.addresses()[0].port();
        TcpStream::connect(("::1", port)).unwrap();
        assert!(proxy.said().contains(&format!("try: curl -x http://[::1]:{port} ")), "{}", proxy.said());
        TcpStream::connect(("127.0.0.1", port)).is_err()
    });
    assert!(is_alone, "clients of IPv4 are served too");
}

#[test]
fn several_addresses_and_workers_all_serve() {
    let origin = Origin::new();
    let flags = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0", "--workers", "4"];
    let mut proxy = Proxy::run(sluicegate(&flags).stdout(Stdio::null()));
    for address in proxy.addresses() {
        proxy.address = address;
        // Enough for each worker to get some.
        for _ in 0..32 {
            assert!(proxy.get(&origin.url("/")).ends_with("\r\n\r\nhello"));
        }
    }
}

#[test]
fn its_own_addresses_are_no_destination() {
    let proxy = Proxy::run(sluicegate(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]).stdout(Stdio::null()));
    for address in proxy.addresses() {
        assert!(proxy.get(&format!("http://{address}/")).starts_with("HTTP/1.1 508 "));
    }
}

#[test]
fn too_few_descriptors_are_one_clear_line() {
    for (limit, words) in [("20", "only 20 descriptors may be open"), ("40", "are needed for 1 workers")] {
        let script = format!("ulimit -n {limit}; exec \"$0\" --port 0 --workers 1");
        let output = ended(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_sluicegate")]));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(words) && said.contains("ulimit -n"), "{said}");
    }
}

#[test]
fn the_soft_limit_is_raised() {
    let script = "ulimit -Hn 400; ulimit -Sn 20; exec \"$0\" --port 0 --workers 1";
    let proxy = Proxy::run(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_sluicegate")]));
    let kept: Vec<_> = (0..60).map(|_| proxy.connect()).collect();
    let origin = Origin::new();
    assert!(proxy.get(&origin.url("/")).ends_with("hello"));
    drop(kept);
}

#[test]
fn quiet_says_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = sluicegate(&["-q", "--port", &free.to_string()]).stderr(Stdio::piped()).spawn().unwrap();
    crate::kit::eventually("it listens", || TcpStream::connect((IpAddr::from([127, 0, 0, 1]), free)).ok());
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let said = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(said.stderr).unwrap(), "");
}
