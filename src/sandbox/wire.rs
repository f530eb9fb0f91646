//! What askance, the monitor and the command say to each other: three numbers a message.

use std::io;

use super::stage::Stage;

/// Length of every message in bytes.
pub(super) const LENGTH: usize = 12;

/// From the command to the monitor before exec, from the monitor to askance ever after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// The listener's number in the descriptor table that command and monitor shared, or, with the
    /// descriptor attached, the command's process number.
    Listener(i32),
    /// A step between fork and exec failed.
    Failed(Stage, i32),
    /// `execve` failed with this errno.
    NotExecuted(i32),
    /// The program runs.
    Started,
    Exited(i32),
    Signaled(i32),
    Stopped(i32),
    Continued,
}

/// From askance to the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Send this signal to the command's process group.
    Signal(i32),
    /// Kill everything.
    End,
}

fn encode(numbers: [i32; 3]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    for (chunk, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        chunk.copy_from_slice(&number.to_ne_bytes());
    }
    bytes
}

fn decode(bytes: &[u8; LENGTH]) -> [i32; 3] {
    let mut numbers = [0; 3];
    for (chunk, number) in bytes.chunks_exact(4).zip(&mut numbers) {
        *number = i32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    }
    numbers
}

fn unknown() -> io::Error {
    io::Error::from_raw_os_error(libc::EPROTO)
}

impl Report {
    pub(super) fn encode(self) -> [u8; LENGTH] {
        encode(match self {
            Self::Listener(number) => [1, number, 0],
            Self::Failed(stage, errno) => [2, errno, stage as i32],
            Self::NotExecuted(errno) => [3, errno, 0],
            Self::Started => [4, 0, 0],
            Self::Exited(code) => [5, code, 0],
            Self::Signaled(signal) => [6, signal, 0],
            Self::Stopped(signal) => [7, signal, 0],
            Self::Continued => [8, 0, 0],
        })
    }

    pub(super) fn decode(bytes: &[u8; LENGTH]) -> io::Result<Self> {
        let [kind, value, stage] = decode(bytes);
        Ok(match kind {
            1 => Self::Listener(value),
            2 => Self::Failed(Stage::from_number(stage).ok_or_else(unknown)?, value),
            3 => Self::NotExecuted(value),
            4 => Self::Started,
            5 => Self::Exited(value),
            6 => Self::Signaled(value),
            7 => Self::Stopped(value),
            8 => Self::Continued,
            _ => return Err(unknown()),
        })
    }
}

impl Order {
    pub(super) fn encode(self) -> [u8; LENGTH] {
        encode(match self {
            Self::Signal(signal) => [1, signal, 0],
            Self::End => [2, 0, 0],
        })
    }

    pub(super) fn decode(bytes: &[u8; LENGTH]) -> io::Result<Self> {
        match decode(bytes) {
            [1, signal, _] => Ok(Self::Signal(signal)),
            [2, ..] => Ok(Self::End),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for report in [
            Report::Listener(7),
            Report::Failed(Stage::Floor, libc::E2BIG),
            Report::NotExecuted(libc::ENOENT),
            Report::Started,
            Report::Exited(3),
            Report::Signaled(9),
            Report::Stopped(20),
            Report::Continued,
        ] {
            assert_eq!(Report::decode(&report.encode()).unwrap(), report);
        }
        for order in [Order::Signal(2), Order::End] {
            assert_eq!(Order::decode(&order.encode()).unwrap(), order);
        }
        assert!(Report::decode(&[0; LENGTH]).is_err());
        assert!(Order::decode(&[9; LENGTH]).is_err());
    }
}
