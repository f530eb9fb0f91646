use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn resolv_conf_is_read_as_libc_reads_it() {
    let text = b"# written by hand\nnameserver 192.0.2.1 # first\nnameserver  2001:db8::1\n\
        nameserver fe80::1%eth0\nnameserver nonsense\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n\
        domain old.test\nsearch Corp.Test. lab.test bad..name\n\
        options ndots:5 timeout:3 attempts:9 rotate\n";
    let resolv = Resolv::parse(text, "vm.home.test");
    assert_eq!(resolv.nameservers, [ip("192.0.2.1"), ip("2001:db8::1"), ip("192.0.2.3")]);
    assert_eq!(resolv.search, ["corp.test", "lab.test"]);
    assert_eq!(resolv.timeout, Duration::from_secs(3));
    assert_eq!(resolv.attempts, 5);
    assert_eq!(
        resolv.synthetic(Ipv4Addr::new(127, 1, 2, 3)),
        b"nameserver 127.1.2.3\nsearch corp.test lab.test\noptions ndots:1\n"
    );
}

#[test]
fn an_empty_resolv_conf_has_the_defaults_of_libc() {
    let resolv = Resolv::parse(b"", "vm");
    assert_eq!(resolv.nameservers, [ip("127.0.0.1")]);
    assert_eq!((resolv.timeout, resolv.attempts), (Duration::from_secs(5), 2));
    assert!(resolv.search.is_empty());
    let synthetic = resolv.synthetic(Ipv4Addr::LOCALHOST);
    assert_eq!(synthetic, b"nameserver 127.0.0.1\noptions ndots:1\n");
    // The domain of the machine's name is the search list, unless the file says that there is none.
    assert_eq!(Resolv::parse(b"", "vm.home.test").search, ["home.test"]);
    let none = Resolv::parse(b"search .\n", "vm.home.test");
    assert!(none.search.is_empty());
    let synthetic = none.synthetic(Ipv4Addr::LOCALHOST);
    assert_eq!(synthetic, b"nameserver 127.0.0.1\nsearch .\noptions ndots:1\n");
}

const HOSTS: &[u8] = b"127.0.0.1 localhost\n::1 localhost ip6-localhost # both\n\
    127.0.1.1\tvm.home.test vm\n10.0.0.7 Build.lan build\n10.0.0.8 build\n2001:db8::7 build.lan\n\
    127.0.0.1 dev.test\n127.0.0.1 split.test\n192.0.2.9 split.test\nnonsense x.test\n1.2.3.4\n";

#[test]
fn hosts_gives_the_addresses_of_names_in_order() {
    let hosts = Hosts::parse(HOSTS, "vm");
    assert_eq!(hosts.addresses("build"), Some(&[ip("10.0.0.7"), ip("10.0.0.8")][..]));
    assert_eq!(hosts.addresses("build.lan"), Some(&[ip("10.0.0.7"), ip("2001:db8::7")][..]));
    assert_eq!(hosts.addresses("x.test"), None);
}

#[test]
fn names_of_this_machine_have_loopback_addresses_and_no_others_do() {
    let hosts = Hosts::parse(HOSTS, "vm");
    let both = Some(vec![ip("127.0.0.1"), ip("::1")]);
    assert_eq!(hosts.loopback("localhost"), both);
    assert_eq!(hosts.loopback("app.localhost"), both);
    assert_eq!(hosts.loopback("ip6-localhost"), Some(vec![ip("::1")]));
    assert_eq!(hosts.loopback("vm"), Some(vec![ip("127.0.1.1")]));
    assert_eq!(hosts.loopback("vm.home.test"), Some(vec![ip("127.0.1.1")]));
    assert_eq!(hosts.loopback("dev.test"), Some(vec![ip("127.0.0.1")]));
    for name in ["split.test", "build", "notlocalhost", "localhost.test", "other.test"] {
        assert_eq!(hosts.loopback(name), None, "{name}");
    }
    let bare = Hosts::parse(b"", "box.corp.test");
    assert_eq!(bare.loopback("box"), both);
    assert_eq!(bare.loopback("box.corp.test"), both);
    assert_eq!(bare.loopback("localhost"), both);
}

#[test]
fn the_synthetic_hosts_file_has_loopback_lines_alone() {
    let text = |hosts: Hosts| String::from_utf8(hosts.synthetic()).unwrap();
    assert_eq!(
        text(Hosts::parse(HOSTS, "vm")),
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\tvm.home.test vm\n\
         127.0.0.1\tdev.test\n127.0.0.1\tsplit.test\n"
    );
    assert_eq!(text(Hosts::parse(b"", "")), "127.0.0.1\tlocalhost\n");
    // A container's own address is not a loopback one; its names still mean this machine.
    assert_eq!(
        text(Hosts::parse(b"172.17.0.2 c0ffee.corp.test c0ffee db\n", "c0ffee")),
        "127.0.0.1\tlocalhost\n127.0.0.1\tc0ffee c0ffee.corp.test db\n"
    );
}

#[test]
fn the_search_list_applies_after_a_dotted_name_and_before_a_plain_one() {
    let search = ["corp.test".to_owned(), "lab.test".to_owned()];
    assert_eq!(candidates("db", &search), ["db.corp.test", "db.lab.test", "db"]);
    assert_eq!(candidates("db.prod", &search), ["db.prod", "db.prod.corp.test", "db.prod.lab.test"]);
    assert_eq!(candidates("db.corp.test", &search), ["db.corp.test"]);
    assert_eq!(candidates("db", &[]), ["db"]);
    let long = "a.".repeat(122) + "test";
    assert_eq!(candidates(&long, &search).len(), 1, "too long with any domain appended");
}

#[test]
fn files_are_read_again_when_they_change_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hosts");
    let watched = Watched::new(path.clone());
    assert_eq!(*watched.get(<[u8]>::len), 0);
    fs::write(&path, "ab").unwrap();
    assert_eq!(*watched.get(<[u8]>::len), 2);
    assert_eq!(*watched.get(|_| panic!("not changed")), 2);
    let other = dir.path().join("new");
    fs::write(&other, "cd").unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(*watched.get(|text| usize::from(text[0])), usize::from(b'c'));
    fs::remove_file(&path).unwrap();
    assert_eq!(*watched.get(<[u8]>::len), 0);
}

#[test]
fn a_search_domain_and_a_hosts_name_are_told_apart_from_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (resolv, hosts) = (dir.path().join("resolv.conf"), dir.path().join("hosts"));
    fs::write(&resolv, "nameserver 192.0.2.1\nsearch corp.test test\n").unwrap();
    fs::write(&hosts, "10.0.0.7 build\n127.0.0.1 dev\n").unwrap();
    let system = System::at(resolv, hosts, "vm".into());
    assert_eq!(system.without_search("build.corp.test"), ["build", "build.corp"]);
    assert_eq!(system.without_search("a.b.lab.test"), ["a.b.lab"]);
    assert_eq!(system.without_search("build"), [""; 0]);
    assert_eq!(system.without_search("corp.test"), ["corp"]);
    assert_eq!(system.without_search("evilcorp.example"), [""; 0]);
    assert!(system.is_hidden_host("build"));
    for name in ["dev", "localhost", "vm", "other", "build.corp.test"] {
        assert!(!system.is_hidden_host(name), "{name}");
    }
}
