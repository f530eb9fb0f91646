//! The resolvers that programs bring along, against the stub.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use super::{at, with_fake};
use crate::dns::Dns;

#[test]
fn dig_takes_the_answers() {
    let (dns, fake, _dir) = with_fake(&[("www.allowed.test", at(&["192.0.2.1"]))], "", "");
    let stub = dns.stub().unwrap();
    let dig = |arguments: &[&str]| {
        let output = Command::new("dig")
            .args([&format!("@{}", stub.v4.ip()), "-p", &stub.v4.port().to_string()])
            .args(["+tries=1", "+time=5"])
            .args(arguments)
            .output()
            .expect("dig is installed (bind9-dnsutils)");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for transport in ["+notcp", "+tcp"] {
        let address = dig(&[transport, "+short", "www.allowed.test", "A"]);
        let name = dig(&[transport, "+short", "-x", address.trim()]);
        assert_eq!(name, "www.allowed.test.\n");
        assert!(dig(&[transport, "none.allowed.test"]).contains("status: NXDOMAIN"));
        let text = dig(&[transport, "data.evil.test", "TXT"]);
        assert!(text.contains("status: NOERROR") && text.contains("ANSWER: 0"), "{text}");
        assert!(!text.contains("WARNING"), "{text}");
    }
    assert!(dig(&["+noedns", "+short", "a.test"]).starts_with("198.18."));
    assert!(dig(&["+edns=1", "+noednsneg", "a.test"]).contains("status: BADVERS"));
    assert!(fake.heard().keys().all(|name| name.ends_with("allowed.test")), "{:?}", fake.heard());
}

/// Runs a shell line where the synthetic files are the real ones, in a mount namespace of its own.
/// `None`, said aloud, where that or port 53 is not to be had.
fn inside(dns: &Dns, dir: &Path, line: &str) -> Option<String> {
    if !dns.stub().unwrap().on_port_53 {
        println!("skipped: needs port 53");
        return None;
    }
    std::fs::write(dir.join("seen-resolv"), dns.resolv_conf().unwrap()).unwrap();
    std::fs::write(dir.join("seen-hosts"), dns.hosts()).unwrap();
    let mounts = "mount --bind seen-resolv /etc/resolv.conf && mount --bind seen-hosts /etc/hosts && touch mounted";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &format!("{mounts} || exit; {line}")])
        .current_dir(dir)
        .output()
        .expect("unshare is installed (util-linux)");
    let error = String::from_utf8_lossy(&output.stderr);
    if !dir.join("mounted").exists() {
        println!("skipped: needs a mount namespace: {error}");
        return None;
    }
    assert!(output.status.success(), "{line}: {error}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn is_there(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let there = there.unwrap().status.success();
    if !there {
        println!("skipped: needs {program}");
    }
    there
}

/// The first field of each line, as addresses.
fn addresses(text: &str) -> BTreeSet<IpAddr> {
    text.lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

const HOSTS: &str = "127.0.0.1 localhost\n10.0.0.7 build\n127.0.1.1 vm.home.test vm\n";

#[test]
fn getaddrinfo_of_glibc_takes_the_answers() {
    let zone = [("v4.allowed.test", at(&["192.0.2.1"])), ("db.prod.corp.test", at(&["192.0.2.2"]))];
    let (dns, fake, dir) = with_fake(&zone, "search corp.test\n", HOSTS);
    let ahosts = |name: &str| inside(&dns, dir.path(), &format!("getent ahosts {name} || true"));
    let Some(found) = ahosts("api.evil.test") else { return };
    let found = addresses(&found);
    assert_eq!(found.len(), 2, "one of each family: {found:?}");
    for address in &found {
        assert_eq!(dns.name_of(*address).as_deref(), Some("api.evil.test"));
        let back = inside(&dns, dir.path(), &format!("getent hosts {address}")).unwrap();
        assert_eq!(back.split_whitespace().nth(1), Some("api.evil.test"));
    }
    assert_eq!(fake.heard(), BTreeMap::new());
    let found = addresses(&ahosts("v4.allowed.test").unwrap());
    assert!(found.len() == 1 && found.iter().all(|address| address.is_ipv4()), "{found:?}");
    assert_eq!(ahosts("none.allowed.test").unwrap(), "");
    // A name of /etc/hosts, which libc asks for with the search domain first.
    let found = addresses(&ahosts("build").unwrap());
    assert!(found.iter().all(|address| dns.name_of(*address).as_deref() == Some("build")));
    // A plain name gets the search domain, a dotted one is itself.
    let found = addresses(&ahosts("db").unwrap());
    assert!(found.iter().all(|address| dns.name_of(*address).as_deref() == Some("db.corp.test")));
    let found = addresses(&ahosts("db.prod").unwrap());
    assert!(found.iter().all(|address| dns.name_of(*address).as_deref() == Some("db.prod")));
    assert_eq!(found.len(), 1);
    for (name, address) in [("localhost", "127.0.0.1"), ("vm", "127.0.1.1"), ("127.1", "127.0.0.1")] {
        let found = addresses(&ahosts(name).unwrap());
        assert!(found.contains(&address.parse().unwrap()), "{name}: {found:?}");
    }
}

#[test]
fn getaddrinfo_of_musl_takes_the_answers() {
    if !is_there("musl-gcc") {
        return;
    }
    let (dns, fake, dir) = with_fake(&[("v6.allowed.test", at(&["2001:db8::1"]))], "", HOSTS);
    std::fs::write(dir.path().join("resolve.c"), MUSL).unwrap();
    let built = Command::new("musl-gcc")
        .args(["-static", "-o", "resolve", "resolve.c"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let found = |name: &str| inside(&dns, dir.path(), &format!("./resolve {name}"));
    let Some(text) = found("api.evil.test") else { return };
    let unknown = addresses(&text);
    assert_eq!(unknown.len(), 2);
    assert!(unknown.iter().all(|a| dns.name_of(*a).as_deref() == Some("api.evil.test")));
    assert_eq!(fake.heard(), BTreeMap::new());
    let known = addresses(&found("v6.allowed.test").unwrap());
    assert!(known.len() == 1 && known.iter().all(|address| address.is_ipv6()), "{known:?}");
    assert_eq!(found("none.allowed.test").unwrap(), "");
}

const MUSL: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
int main(int argc, char **argv) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *one;
    char text[INET6_ADDRSTRLEN];
    if (argc < 2 || getaddrinfo(argv[1], "443", &hints, &list)) return 0;
    for (one = list; one; one = one->ai_next) {
        if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST)) return 1;
        puts(text);
    }
    return 0;
}
"#;

#[test]
fn both_resolvers_of_node_take_the_answers() {
    if !is_there("node") {
        return;
    }
    let (dns, fake, dir) = with_fake(&[("v4.allowed.test", at(&["192.0.2.1"]))], "", HOSTS);
    std::fs::write(dir.path().join("resolve.js"), NODE).unwrap();
    let Some(text) = inside(&dns, dir.path(), "node resolve.js") else { return };
    let lines: Vec<&str> = text.lines().collect();
    let [own, libc, back, text, none] = lines[..] else { panic!("{text}") };
    for address in [own, libc] {
        assert_eq!(dns.name_of(address.parse().unwrap()).as_deref(), Some("api.evil.test"));
    }
    assert_eq!(back, "api.evil.test");
    assert_eq!((text, none), ("ENODATA", "ENOTFOUND"));
    assert!(fake.heard().keys().all(|name| name == "none.allowed.test"), "{:?}", fake.heard());
}

const NODE: &str = "
const dns = require('dns').promises;
const code = (promise) => promise.then((found) => 'found ' + found, (error) => error.code);
(async () => {
    const [own] = await dns.resolve4('api.evil.test');
    console.log(own);
    console.log((await dns.lookup('api.evil.test')).address);
    console.log((await dns.reverse(own))[0]);
    console.log(await code(dns.resolveTxt('secret.evil.test')));
    console.log(await code(dns.resolve4('none.allowed.test')));
})();
";
