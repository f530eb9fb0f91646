//! Sockets by bytes: what the standard library offers only for addresses that it can spell.
//! `man 7 socket`, `man 7 unix`, `man 7 ip`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `struct sockaddr_storage`: the kernel takes no longer address.
pub const ADDRESS_MAX: usize = size_of::<libc::sockaddr_storage>();

/// The loopback device's number, the same in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK_DEVICE: i32 = 1;

/// An `int` that `getsockopt(fd, level, name)` gives.
///
/// `ENOTSOCK`: not a socket; `EBADF`: an `O_PATH` descriptor.
pub fn option(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    let mut value: i32 = 0;
    read_option(fd, level, name, &mut value)?;
    Ok(value)
}

/// `getsockopt(fd, SOL_SOCKET, SO_COOKIE)`: a number that no other socket of this boot has.
pub fn cookie(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let mut value: u64 = 0;
    read_option(fd, libc::SOL_SOCKET, libc::SO_COOKIE, &mut value)?;
    Ok(value)
}

/// `getsockopt(fd, IPPROTO_TCP, TCP_INFO)`, its first byte: the connection's state (`TCP_CLOSE`,
/// `TCP_SYN_SENT`, … of `linux/tcp.h`).
pub fn tcp_state(fd: BorrowedFd<'_>) -> io::Result<u8> {
    let mut state: u8 = 0;
    read_option(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut state)?;
    Ok(state)
}

/// Values that getsockopt may fill: integers, for which every bit pattern is a value.
trait Integer {}
impl Integer for u8 {}
impl Integer for i32 {}
impl Integer for u64 {}

fn read_option<T: Integer>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &mut T) -> io::Result<()> {
    let Ok(mut length) = libc::socklen_t::try_from(size_of::<T>()) else {
        return Err(invalid());
    };
    let value: *mut T = value;
    // SAFETY: value points to size_of::<T>() writable bytes, the length says so, and T is an
    // integer, so whatever the kernel writes there is a T.
    let done = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.cast(), &raw mut length) };
    succeeded(done)
}

/// `setsockopt(fd, level, name, &value, sizeof value)`.
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    let Ok(length) = libc::socklen_t::try_from(size_of::<i32>()) else {
        return Err(invalid());
    };
    // SAFETY: the kernel copies the four bytes of value and keeps no pointer to them.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), length) };
    succeeded(done)
}

/// `setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 1)`: from now on the socket speaks to this machine
/// alone. Undoing it takes `CAP_NET_RAW`.
///
/// `EPERM`: it is bound to another device already.
pub fn confine_to_loopback(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, LOOPBACK_DEVICE)
}

/// Is this the number of the loopback device?
pub fn is_loopback_device(number: i32) -> bool {
    number == LOOPBACK_DEVICE
}

/// `connect(fd, address, length)`.
pub fn connect(fd: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let length = address_length(address)?;
    // SAFETY: the kernel copies length bytes of address and keeps no pointer to them.
    succeeded(unsafe { libc::connect(fd.as_raw_fd(), address.as_ptr().cast(), length) })
}

/// `bind(fd, address, length)`.
pub fn bind(fd: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let length = address_length(address)?;
    // SAFETY: the kernel copies length bytes of address and keeps no pointer to them.
    succeeded(unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr().cast(), length) })
}

/// `listen(fd, backlog)`.
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: listen takes numbers only.
    succeeded(unsafe { libc::listen(fd.as_raw_fd(), backlog) })
}

/// `getsockname(fd)`: the bytes of the address that the socket is bound to.
pub fn local_address(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; ADDRESS_MAX];
    let mut length = address_length(&bytes)?;
    // SAFETY: bytes has length writable bytes, and the kernel writes no more than that.
    succeeded(unsafe { libc::getsockname(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), &raw mut length) })?;
    bytes.truncate(usize::try_from(length).unwrap_or(0));
    Ok(bytes)
}

/// `socket(domain, kind | SOCK_CLOEXEC, protocol)`.
pub fn open(domain: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: socket takes numbers only.
    let fd = unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) };
    succeeded(fd.min(0))?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// One message to send: `struct msghdr` by parts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Empty: no address.
    pub address: &'a [u8],
    pub data: &'a [u8],
    /// Control messages as `cmsg(3)` lays them out.
    pub control: &'a [u8],
    pub flags: i32,
}

/// `sendmsg(fd, message, flags)`: how many bytes were taken.
pub fn send(fd: BorrowedFd<'_>, message: &Outgoing<'_>) -> io::Result<usize> {
    let mut part = libc::iovec { iov_base: message.data.as_ptr().cast_mut().cast(), iov_len: message.data.len() };
    // SAFETY: all-zero is a valid msghdr: no name, no data, no control.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if !message.address.is_empty() {
        header.msg_name = message.address.as_ptr().cast_mut().cast();
        header.msg_namelen = address_length(message.address)?;
    }
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if !message.control.is_empty() {
        header.msg_control = message.control.as_ptr().cast_mut().cast();
        header.msg_controllen = message.control.len() as _;
    }
    // SAFETY: header points to address, data and control, which are borrowed for the call and only
    // read by it.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, message.flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// What `recvmsg` gave.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The return value: with `MSG_TRUNC` it may exceed what fitted.
    pub length: usize,
    /// The sender's address.
    pub address: Vec<u8>,
    pub control: Vec<u8>,
    pub flags: i32,
}

/// `recvmsg(fd, …, flags)` into `data`, with room for `control_room` bytes of control messages.
pub fn receive(fd: BorrowedFd<'_>, data: &mut [u8], control_room: usize, flags: i32) -> io::Result<Incoming> {
    let mut address = vec![0_u8; ADDRESS_MAX];
    let mut control = vec![0_u8; control_room];
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = address.as_mut_ptr().cast();
    header.msg_namelen = address_length(&address)?;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len() as _;
    // SAFETY: header describes address, data and control with their true lengths; all outlive the
    // call, and the kernel writes within them.
    let received = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) };
    let length = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    address.truncate(usize::try_from(header.msg_namelen).unwrap_or(0));
    #[allow(clippy::unnecessary_cast, reason = "the field's type differs between C libraries")]
    control.truncate(header.msg_controllen as usize);
    Ok(Incoming { length, address, control, flags: header.msg_flags })
}

fn address_length(address: &[u8]) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(address.len()).map_err(|_| invalid())
}

fn invalid() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

fn succeeded(done: i32) -> io::Result<()> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
