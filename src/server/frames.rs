//! Frames: one line each, bounded in both directions.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::sync::mpsc;

/// Frames that wait for a client to read them. Who has more to say waits; that is the back-pressure.
const WAITING: usize = 32;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A line without its end.
    Line(Vec<u8>),
    /// A line longer than the limit; all of it was thrown away.
    TooLong,
    End,
}

/// Reads one line of at most `most` bytes. What is longer is read to its end and forgotten.
pub(super) async fn read<R: AsyncBufRead + Unpin>(from: &mut R, most: usize) -> io::Result<Frame> {
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        let chunk = from.fill_buf().await?;
        if chunk.is_empty() {
            // A last line without an end counts.
            return Ok(match (too_long, line.is_empty()) {
                (true, _) => Frame::TooLong,
                (false, true) => Frame::End,
                (false, false) => Frame::Line(line),
            });
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let piece = &chunk[..end.unwrap_or(chunk.len())];
        if line.len() + piece.len() > most {
            too_long = true;
            line = Vec::new();
        } else if !too_long {
            line.extend_from_slice(piece);
        }
        let used = end.map_or(chunk.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(if too_long { Frame::TooLong } else { Frame::Line(line) });
        }
    }
}

/// The way to one client.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    frames: mpsc::Sender<Vec<u8>>,
}

impl Outbox {
    pub(super) fn new() -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (frames, receiver) = mpsc::channel(WAITING);
        (Self { frames }, receiver)
    }

    /// Waits until the client has read enough. Gives the frame back where the client is gone.
    pub(super) async fn send(&self, frame: Vec<u8>) -> Result<(), Vec<u8>> {
        self.frames.send(frame).await.map_err(|unread| unread.0)
    }

    /// Never waits; gives the frame back where the client has not read enough, or is gone.
    pub(super) fn try_send(&self, frame: Vec<u8>) -> Result<(), Vec<u8>> {
        self.frames.try_send(frame).map_err(mpsc::error::TrySendError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    fn frames(bytes: &[u8], most: usize) -> Vec<Frame> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = BufReader::with_capacity(3, bytes);
            let mut found = Vec::new();
            loop {
                found.push(read(&mut reader, most).await.unwrap());
                if found.last() == Some(&Frame::End) {
                    return found;
                }
            }
        })
    }

    #[test]
    fn a_line_that_is_too_long_costs_nothing_but_itself() {
        let line = |text: &str| Frame::Line(text.as_bytes().to_vec());
        assert_eq!(frames(b"abcd\n", 4), [line("abcd"), Frame::End]);
        assert_eq!(frames(b"abcde\nx\n", 4), [Frame::TooLong, line("x"), Frame::End]);
        assert_eq!(frames(b"\n\nabcdefghijk", 4), [line(""), line(""), Frame::TooLong, Frame::End]);
        assert_eq!(frames(b"ab", 4), [line("ab"), Frame::End]);
        assert_eq!(frames(&[b'x'; 1_000_000], 4), [Frame::TooLong, Frame::End]);
    }
}
